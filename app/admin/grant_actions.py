"""Give a user a grant, and end one: what the forms say, checked, and the operation that they call."""

import hashlib

from ..errors import InvalidRequest, NotFound
from ..operations.grants import GrantOrder, end_grant, give_grant, list_grants
from .action_handlers import Submission, read_amount, read_expiry, read_reason, read_user
from .formatting import day


async def review_grant(submission: Submission) -> list[str]:
    order = _order(submission)
    if (order.feature is None) == (order.plan is None):
        raise InvalidRequest("Choose either a feature with an amount, or a plan.")
    what = f"the plan {order.plan}" if order.plan else f"{order.amount} of {order.feature}"
    until = f"until {day(order.expires_at)}" if order.expires_at else "for good"
    lines = [f"User {order.user_id} gets {what}, {until}.", f"Reason: {order.reason}"]
    given = await list_grants(submission.service, order.user_id)
    same = [
        each for each in given if each.in_force and (each.feature, each.plan) == (order.feature, order.plan)
    ]
    if same:
        lines.append(f"It is added to {len(same)} that the user has of it.")
    return [*lines, "The same grant for the same reason is given once. It holds at once, in every process."]


async def grant(submission: Submission) -> None:
    await give_grant(submission.service, _order(submission), actor=submission.actor)


async def review_end_grant(submission: Submission) -> list[str]:
    user_id, grant_id = read_user(submission), submission.values["grant"]
    for each in await list_grants(submission.service, user_id):
        if each.id == grant_id:
            what = f"the plan {each.plan}" if each.plan else f"{each.amount} of {each.feature}"
            return [
                f"Grant {each.id} of user {user_id} ({what}) ends now.",
                "What was drawn from it stays used.",
            ]
    raise NotFound("The user has no such grant.")


async def finish_grant(submission: Submission) -> None:
    user_id, grant_id = read_user(submission), submission.values["grant"]
    await end_grant(submission.service, user_id, grant_id, actor=submission.actor)


def _order(submission: Submission) -> GrantOrder:
    values = submission.values
    plan = values.get("plan") or None
    return GrantOrder(
        user_id=read_user(submission),
        feature=values.get("feature") or None,
        amount=read_amount(values.get("amount", "")),
        plan=plan,
        expires_at=read_expiry(values.get("expires", ""), int(submission.service.clock())),
        reason=read_reason(submission),
        actor=submission.actor,
        source="operator",
        key=_key(submission),
    )


def _key(submission: Submission) -> str:
    """A form that is confirmed twice gives one grant."""
    fields = [f"{name}={value.strip()}" for name, value in sorted(submission.values.items())]
    return "admin:" + hashlib.sha256("\0".join(fields).encode()).hexdigest()
