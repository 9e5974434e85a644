"""Calls to Stripe: the one module that makes them, through the official async client.

Every call has a time-out; failed ones are repeated with the same idempotency key, those that came too fast
after the pause that Stripe asks for; only a few are under way at once. Answers are plain dicts, as they came.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import orjson
import stripe
import structlog

from ..errors import NotFound, StripeKeyMissing, StripeRefused, StripeUnavailable
from ..observability import metrics
from .failures import politely, translated
from .objects import as_dict, is_cut
from .paths import API_PATH, NESTED, PATHS, SCHEDULE, check_path, segment

log = structlog.get_logger(__name__)
Json = dict[str, Any]
T = TypeVar("T")

_somebody_waits: ContextVar[bool] = ContextVar("somebody_waits", default=False)

TIMEOUT_SECONDS = 20
NETWORK_RETRIES = 2
MAX_AT_ONCE = 8
MAX_BACKGROUND = 5
"""Of these, how many may be calls that nobody waits for: a checkout never waits behind all of a repair."""
PROMPTLY_SECONDS = 25
"""How long somebody who waits for the answer is kept waiting for Stripe, all repetitions included."""
PAGE = 100
NOT_STRIPES = "What answered is not Stripe's API. Look at the proxy before it, and try again later."
MAX_EVENT_TYPES = 20
"""How many types one list of events may name ("List all events", `types`)."""

RESOURCES = (
    "subscriptions",
    "subscription_items",
    "subscription_schedules",
    "customers",
    "invoices",
    "events",
    "checkout/sessions",
    "billing_portal/sessions",
    "charges",
    "disputes",
    "prices",
    "promotion_codes",
    "invoice_payments",
    "credit_notes",
    "refunds",
    "radar/early_fraud_warnings",
    "core/events",
    "core/event_destinations",
    "account",
)
"""What a serving process asks for."""
NAMESPACES = frozenset(resource.split("/")[0] for resource in RESOURCES if "/" in resource)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe answered. `at`: by Stripe's own clock, in Unix seconds, less one.

    The object is at least as new as that: it was read before the answer was dated.
    """

    content: Json
    at: int
    replayed: bool = False
    """Whether it is what an earlier request with the same idempotency key was answered: as old as that."""


class _CountedHttp(stripe.HTTPXClient):
    """Counts every request that leaves, also those that the client repeats by itself."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        began, status = time.perf_counter(), "canceled"  # whoever asked waits no longer
        try:
            answer = await super().request_async(method, url, headers, post_data)
            status = str(answer[1])
            return answer
        except stripe.APIConnectionError as error:
            slow = isinstance(error.__cause__, httpx.TimeoutException)
            status = "timeout" if slow else "connection_error"
            raise
        finally:
            metrics.stripe_asked(resource_of(url), status, time.perf_counter() - began)


def resource_of(url: str) -> str:
    """Which resource an address is of, without ids: each would be a time series of its own."""
    names = re.sub(r"^.*?/v[12]/", "", urlsplit(url).path).split("/")
    return "/".join(names[: 2 if names[0] in NAMESPACES else 1])


class StripeApi:
    """Stripe, called with one secret key. `base` is another address than Stripe's, for tests."""

    def __init__(self, key: str, base: str | None = None) -> None:
        metrics.stripe_expected(RESOURCES)
        self._key = key
        self._base = base
        self._open()
        self.livemode = key[2:].startswith("_live_")
        """Whether the key is of live mode; `rk_live_…` and `sk_live_…` are."""

    def _open(self) -> None:
        self._http = _CountedHttp(timeout=TIMEOUT_SECONDS)
        self._client = stripe.StripeClient(
            self._key,
            http_client=self._http,
            base_addresses={"api": self._base} if self._base else {},
            max_network_retries=NETWORK_RETRIES,
        )
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._background = asyncio.Semaphore(MAX_BACKGROUND)

    async def close(self) -> None:
        """Close all connections. What calls again opens others, perhaps on another event loop."""
        await self._http.close_async()  # type: ignore[no-untyped-call]
        self._open()

    async def get(self, path: str, **params: Any) -> Answer:
        """Read.

        Raises:
            NotFound: when Stripe has no such object, or not in this mode.
            StripeRefused: when Stripe does not take the request.
            StripeUnavailable: when Stripe cannot be reached, is failing, or asks for a long pause.
        """
        return await self._call("get", path, params, None)

    async def post(self, path: str, *, key: str | None = None, **params: Any) -> Answer:
        """Create or change; `key` is the idempotency key, a new one each call unless given.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        return await self._call("post", path, params, key)

    async def delete(self, path: str, **params: Any) -> Answer:
        """Delete, or cancel a subscription at once.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        return await self._call("delete", path, params, None)

    async def read(self, kind: str, object_id: str) -> Answer:
        """One object of a kind of PATHS.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        return await self.complete(kind, await self.get(PATHS[kind].format(segment(object_id))))

    async def read_event(self, event_id: str) -> Answer:
        """An event as API v2 has it, with the data that its delivery left out ("Retrieve an Event").

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        return await self.get(f"/v2/core/events/{segment(event_id)}")

    async def complete(self, kind: str, answer: Answer) -> Answer:
        """The same object with all that its nested list holds: Stripe sends the first ten ("Pagination").

        A subscription comes with the schedule that is attached to it, instead of its id.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        answer = await self._with_schedule(kind, answer)
        content = answer.content
        name, path, parameter = NESTED.get(kind, ("", "", ""))
        listed = content.get(name)
        if not is_cut(listed):
            return answer
        # From the beginning: the order within the object need not be the list's own.
        object_id = segment(str(content["id"]))
        params = {parameter: object_id} if parameter else {}
        pages = self.pages(path.format(object_id), **params)
        found = [entry async for page in pages for entry in page.content["data"]]
        whole = {"data": found, "has_more": False}
        return replace(answer, content=content | {name: as_dict(listed) | whole})

    async def _with_schedule(self, kind: str, answer: Answer) -> Answer:
        """A subscription with the schedule that is attached to it, where the key may read that."""
        schedule_id = answer.content.get("schedule") if kind == "subscription" else None
        if not isinstance(schedule_id, str):
            return answer
        try:
            schedule = await self.get(SCHEDULE.format(segment(schedule_id)))
        except (NotFound, StripeRefused) as error:
            log.warning("schedule_not_read", schedule_id=schedule_id, error=error.detail)
            return answer
        return replace(answer, content=answer.content | {"schedule": schedule.content})

    async def pages(self, path: str, *, after: str | None = None, **params: Any) -> AsyncIterator[Answer]:
        """The pages of a list, newest first, beginning behind the object `after`.

        Raises:
            StripeRefused, StripeUnavailable: as `get`.
        """
        while True:
            cursor = {"starting_after": after} if after else {}
            answer = await self.get(path, limit=PAGE, **params, **cursor)
            found = answer.content.get("data") or []
            if found:
                yield answer
            if not answer.content.get("has_more") or not found:
                return
            after = str(found[-1]["id"])

    async def pages_v2(self, path: str, *, page: str | None = None, **params: Any) -> AsyncIterator[Answer]:
        """The pages of a list of API v2, from the first one or from the address `page`.

        "Pagination" of API v2: `next_page_url` is the address of the next one, with all parameters.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `get`.
        """
        answer = await self.get(page) if page else await self.get(path, **params)
        yield answer
        while following := next_page(answer):
            answer = await self.get(following)
            yield answer

    async def _call(self, method: str, path: str, params: Mapping[str, Any], key: str | None) -> Answer:
        check_path(path)
        options = {"idempotency_key": key} if key else {}
        async with nullcontext() if _somebody_waits.get() else self._background, self._at_once:
            try:
                async for attempt in politely():
                    with attempt:
                        response = await self._client.raw_request_async(method, path, **params, **options)
            except stripe.StripeError as error:
                raise translated(error, path) from None
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        return Answer(_object_in(response.body), _dated(response.headers), replayed)


def next_page(answer: Answer) -> str | None:
    """Where the next page of a list of API v2 is read; None behind the last one.

    Raises:
        StripeRefused: for an address that is none of the API's.
    """
    following = answer.content.get("next_page_url")
    if following and API_PATH.fullmatch(str(following)) is None:
        raise StripeRefused("Stripe's list goes on at an address that is none of its API's.")
    return str(following) if following else None


def required(api: StripeApi | None) -> StripeApi:
    """The client, where one is configured.

    Raises:
        StripeKeyMissing: else; the message says what to set.
    """
    if api is None:
        raise StripeKeyMissing(
            "This needs Stripe's API: set STRIPE_API_KEY to a secret or restricted key of the account "
            "(sk_… or rk_…), shown in Stripe's Dashboard under Developers > API keys."
        )
    return api


async def promptly(call: Awaitable[T]) -> T:
    """The answer to a call that somebody waits for.

    Raises:
        StripeUnavailable: when it takes too long. A change may have been made by then.
        And what the call raises.
    """
    token = _somebody_waits.set(True)
    try:
        async with asyncio.timeout(PROMPTLY_SECONDS):
            return await call
    except TimeoutError:
        log.warning("stripe_too_slow", seconds=PROMPTLY_SECONDS)
        raise StripeUnavailable("Stripe does not answer in time. Try again later.") from None
    finally:
        _somebody_waits.reset(token)


def type_groups(types: Sequence[str]) -> list[list[str]]:
    """Event types in groups that one list of events may name."""
    ordered = sorted(types)
    return [ordered[first : first + MAX_EVENT_TYPES] for first in range(0, len(ordered), MAX_EVENT_TYPES)]


def _object_in(body: str | bytes) -> Json:
    """
    Raises:
        StripeUnavailable: when it is no JSON object: something between has answered.
    """
    with suppress(ValueError):
        if isinstance(content := orjson.loads(body), dict):
            return content
    raise StripeUnavailable(NOT_STRIPES)


def _dated(headers: Mapping[str, str]) -> int:
    """
    Raises:
        StripeUnavailable: when the answer has no date: it is none of Stripe's.
    """
    try:
        return int(parsedate_to_datetime(headers["Date"]).timestamp()) - 1
    except (KeyError, ValueError):
        raise StripeUnavailable(NOT_STRIPES) from None
