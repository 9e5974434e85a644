"""The forms of what can be changed: fill in, look at what will happen, confirm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from ..errors import ServiceError
from ..service import Service
from . import action_handlers, grant_actions, search
from .action_handlers import Perform, Review, Submission, Values
from .formatting import encoded
from .login import text
from .page import Admin, actor_of, not_found, parameter, see_other

Kind = Literal["text", "select", "number", "moment", "long"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. `options` for a select."""

    name: str
    label: str
    kind: Kind = "text"
    hint: str = ""
    options: Callable[[Service], list[str]] | None = None
    optional: bool = False


def metered_features(service: Service) -> list[str]:
    features = service.limits.catalogue.features.values()
    return [feature.key for feature in features if feature.kind in ("allocated", "consumable")]


USER = Field("user", "User", hint="The application's own id of the user")
FEATURE = Field(
    "feature", "Feature", "select", options=lambda service: list(service.limits.catalogue.features)
)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done. `done` is said after it."""

    name: str
    title: str
    verb: str
    done: str
    fields: tuple[Field, ...]
    review: Review
    perform: Perform
    back: Callable[[Values], str]


def to_user(values: Values) -> str:
    return search.user_path(values.get("user", ""))


def to_event(values: Values) -> str:
    return f"/event?id={encoded(values.get('event', ''))}"


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action(
            "replay",
            "Replay an event",
            "Replay it",
            "The event was applied again; below is what became of it.",
            (Field("event", "Event", hint="Its id: evt_…"),),
            action_handlers.review_replay,
            action_handlers.replay,
            to_event,
        ),
        Action(
            "replay-all",
            "Replay all events of a state",
            "Replay them all",
            "The events are due now; the workers apply them.",
            (Field("state", "State", "select", options=lambda _: ["dead", "failed"]),),
            action_handlers.review_replay_all,
            action_handlers.replay_all,
            lambda values: f"/events?state={encoded(values.get('state', ''))}",
        ),
        Action(
            "replay-outbox",
            "Replay reactions",
            "Replay them",
            "The reactions are due now; the outboxes deliver them.",
            (Field("receiver", "Receiver", hint="By its name; empty: of every receiver", optional=True),),
            action_handlers.review_replay_outbox,
            action_handlers.replay_outbox,
            lambda _: "/outbox?state=pending",
        ),
        Action(
            "link",
            "Link a customer to a user",
            "Link them",
            "The customer belongs to this user now.",
            (Field("customer", "Customer", hint="Stripe's id: cus_…"), USER),
            action_handlers.review_link,
            action_handlers.link,
            to_user,
        ),
        Action(
            "override",
            "Set an override",
            "Set it",
            "The override holds.",
            (
                USER,
                FEATURE,
                Field("op", "Change", "select", "Replace the limit, add to it, or take from it",
                      options=lambda _: ["set", "add", "remove"]),
                Field("value", "Value", hint="As in plans.toml: 5, 10 GiB, unlimited, true", optional=True),
                Field("expires", "Ends (UTC)", "moment", "Empty: until somebody ends it", optional=True),
                Field("reason", "Reason", "long", "For whoever asks later"),
            ),
            action_handlers.review_override,
            action_handlers.override,
            to_user,
        ),
        Action(
            "end-override",
            "End an override",
            "End it now",
            "The override is over; the plan counts again.",
            (USER, FEATURE),
            action_handlers.review_end_override,
            action_handlers.end_override,
            to_user,
        ),
        Action(
            "grant",
            "Give a grant",
            "Give it",
            "The grant holds.",
            (
                USER,
                Field("feature", "Feature", "select", "Or choose a plan",
                      options=lambda service: ["", *metered_features(service)], optional=True),
                Field("amount", "Amount", hint="Of the feature: 500, 10 GiB", optional=True),
                Field("plan", "Plan", "select", "In place of a feature",
                      options=lambda service: ["", *service.limits.catalogue.plans], optional=True),
                Field("expires", "Ends (UTC)", "moment", "Empty: for good", optional=True),
                Field("reason", "Reason", "long", "For whoever asks later"),
            ),
            grant_actions.review_grant,
            grant_actions.grant,
            to_user,
        ),
        Action(
            "end-grant",
            "End a grant",
            "End it now",
            "The grant has ended.",
            (USER, Field("grant", "Grant", hint="Its id: gr_…")),
            grant_actions.review_end_grant,
            grant_actions.finish_grant,
            to_user,
        ),
        Action(
            "usage",
            "Correct the usage",
            "Set it",
            "The usage is corrected.",
            (
                USER,
                Field("feature", "Feature", "select", options=metered_features),
                Field("used", "Used", "number", "What is really used, as you counted it"),
            ),
            action_handlers.review_usage,
            action_handlers.set_usage,
            to_user,
        ),
        Action(
            "reread",
            "Fetch a subscription again",
            "Mark it",
            "The subscription is marked to be fetched again from Stripe.",
            (Field("subscription", "Subscription", hint="Stripe's id: sub_…"),),
            action_handlers.review_reread,
            action_handlers.reread,
            lambda values: f"/search?q={encoded(values.get('subscription', ''))}",
        ),
    )
}  # fmt: skip

DONE = {action.name: action.done for action in ACTIONS.values()}
"""What a page may say after an action: fixed words, so that no link can put others there."""


async def action_page(admin: Admin, request: Request) -> Response:
    """`/admin/action/<name>`: GET asks; POST shows what will happen; POST with `confirmed` does it."""
    action = ACTIONS.get(request.path_params["name"])
    if action is None:
        raise not_found("There is no such action.")
    if request.method != "POST":
        values = {field.name: parameter(request, field.name) for field in action.fields}
        if not all(values[field.name] for field in action.fields if not field.optional):
            return _form(admin, request, action, values)
        return await _reviewed(admin, request, action, values)
    form = await request.form()
    values = {field.name: text(form, field.name) for field in action.fields}
    if text(form, "confirmed") == "yes":
        return await _performed(admin, request, action, values)
    if text(form, "change") == "yes":
        return _form(admin, request, action, values)
    return await _reviewed(admin, request, action, values)


def _form(
    admin: Admin, request: Request, action: Action, values: Values, error: ServiceError | None = None
) -> Response:
    status = 200 if error is None else error.status
    options = {field.name: field.options(admin.service) for field in action.fields if field.options}
    return admin.render(
        request,
        "action_form.html",
        status,
        action=action,
        values=values,
        options=options,
        error=error.detail if error else None,
    )


async def _reviewed(admin: Admin, request: Request, action: Action, values: Values) -> Response:
    try:
        lines = await action.review(Submission(admin.service, actor_of(request), values))
    except ServiceError as error:
        return _form(admin, request, action, values, error)
    return admin.render(
        request, "action_review.html", action=action, values=values, lines=lines, back=action.back(values)
    )


async def _performed(admin: Admin, request: Request, action: Action, values: Values) -> Response:
    submission = Submission(admin.service, actor_of(request), values)
    try:
        await action.review(submission)
        await action.perform(submission)
    except ServiceError as error:
        return _form(admin, request, action, values, error)
    path = action.back(values)
    return see_other(request, f"{path}{'&' if '?' in path else '?'}done={action.name}")
