"""All metrics. Other modules call one function here for each fact; `exposition` writes them out.

With several worker processes (`PROMETHEUS_MULTIPROC_DIR`, which `serve --workers` sets) counters and
histograms are added up over them. What the database and the spool hold is the same for all, so whichever
worker is asked reads it then.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
FLUSH_SECONDS = 1.0

# A registry of our own: an application that we are installed in may have metrics of the same names.
REGISTRY = CollectorRegistry()

WEBHOOK_ANSWERS: Final = Counter(
    "billing_webhook_answers_total",
    "Answers of POST /webhook/stripe, by HTTP status and by what became of the event",
    ("status", "result"),
    registry=REGISTRY,
)
BATCH_EVENTS: Final = Histogram(
    "billing_batch_events",
    "Events that one transaction carried",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=REGISTRY,
)
BATCH_SECONDS: Final = Histogram(
    "billing_batch_seconds",
    "The duration of a batch, from its beginning to its commit or error",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8),
    registry=REGISTRY,
)
BATCH_FAILURES: Final = Counter(
    "billing_batch_failures_total", "Batches that the database did not commit", registry=REGISTRY
)
EVENT_LAG: Final = Histogram(
    "billing_event_lag_seconds",
    "From an event's `created` at Stripe, which has whole seconds, until it was applied",
    buckets=(1, 2, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 86_400, 3 * 86_400),
    registry=REGISTRY,
)
EVENTS: Final = Counter(
    "billing_events_total",
    "Events stored or retried, by their state afterwards",
    ("state",),
    registry=REGISTRY,
)
RETRIES: Final = Counter(
    "billing_event_retries_total",
    "Failed events that were retried, by their state afterwards",
    ("state",),
    registry=REGISTRY,
)
SPOOLED: Final = Counter(
    "billing_spooled_events_total",
    "Events put into the spool, as the database could not take them",
    registry=REGISTRY,
)
DECISIONS: Final = Counter(
    "billing_limit_decisions_total",
    "Limit decisions, by feature and reason",
    ("feature", "reason"),
    registry=REGISTRY,
)
CACHE_ANSWERS: Final = Counter(
    "billing_limit_cache_answers_total",
    "Entitlements that were asked for: a hit was in memory, a miss was loaded",
    ("result",),
    registry=REGISTRY,
)
CACHE_AGE: Final = Counter(
    "billing_limit_cache_age_seconds_total",
    "The ages of the hits, added up: divide by the number of hits",
    registry=REGISTRY,
)
CACHE_OUTDATED: Final = Counter(
    "billing_limit_cache_outdated_total",
    "Consumes that found the entitlements in memory outdated, and loaded them again",
    registry=REGISTRY,
)
OVER_RELEASED: Final = Counter(
    "billing_limit_over_released_total",
    "Releases of more than was used: the caller released something twice, or what was never taken",
    ("feature",),
    registry=REGISTRY,
)
CONNECTIONS_ENDED: Final = Counter(
    "billing_connections_ended_total",
    "Connections that the server closed: a client was too slow, or file descriptors were running out",
    ("reason",),
    registry=REGISTRY,
)
WEBHOOKS_SENT: Final = Counter(
    "billing_webhooks_out_total",
    "Attempts to send an outbound webhook: delivered, refused by the receiver's status, or failed before one",
    ("result",),
    registry=REGISTRY,
)
STRIPE_REQUESTS: Final = Counter(
    "billing_stripe_requests_total",
    "Requests to Stripe's API, each repetition counted, by resource and by HTTP status, or why there is none",
    ("resource", "status"),
    registry=REGISTRY,
)
STRIPE_SECONDS: Final = Histogram(
    "billing_stripe_request_seconds",
    "How long a request to Stripe's API took until its answer, or until there was to be none",
    buckets=(0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20),
    registry=REGISTRY,
)
STRIPE_STATUSES: Final = ("200", "401", "403", "429", "500", "timeout", "connection_error")
"""Those that alerts wait for."""

GAUGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "billing_build_info": ("Always 1; the label is the version of the service", ("version",)),
    "billing_database_up": (
        "Whether the database takes events, by a write that was tried within the last seconds",
        (),
    ),
    "billing_inbox_events": ("Events that are not finished: pending, failed or dead", ("state",)),
    "billing_inbox_oldest_seconds": (
        "The age of the oldest event in that state, since it came; else 0",
        ("state",),
    ),
    "billing_outbox_entries": ("Reactions that are not delivered: pending or dead", ("state",)),
    "billing_outbox_oldest_seconds": ("The age of the oldest reaction in that state; else 0", ("state",)),
    "billing_needs_refresh": ("Records whose events alone do not determine their state", ("kind",)),
    "billing_unmapped_prices": (
        "Prices that live subscriptions were seen with, and that the plans file does not list",
        (),
    ),
    "billing_spool_files": ("Files in the spool: waiting, or rejected when they were drained", ("kind",)),
    "billing_spool_bytes": ("The size of the files that wait in the spool", ()),
}
"""Gauges are read for each scrape: their help and labels."""

Gauges = Mapping[str, Mapping[tuple[str, ...], float]]
"""A value for each gauge and its labels' values."""
Tally = list[float]
"""A number that a hot path counts up in place. An increment costs 30 ns, a counter's own 300 to 2,000."""

HIT: Final[Tally] = [0]
MISS: Final[Tally] = [0]
HIT_AGE: Final[Tally] = [0]
_decisions: dict[tuple[str, str], Tally] = {}


def webhook_answered(status: int, result: str) -> None:
    _answers(status, result).inc()


@cache
def _answers(status: int, result: str) -> Counter:
    return WEBHOOK_ANSWERS.labels(str(status), result)


# Created at the start: `increase` does not see the first value of a series that was absent before.
for _status, _results in (
    (200, ("processed", "duplicate", "ignored", "deferred")),
    (400, ("invalid_signature", "invalid_payload")),
    (413, ("payload_too_large",)),
    (500, ("internal_error",)),
    (503, ("service_unavailable",)),
):
    for _result in _results:
        _answers(_status, _result)


def connection_ended(reason: str) -> None:
    _connections_ended(reason).inc()


@cache
def _connections_ended(reason: str) -> Counter:
    return CONNECTIONS_ENDED.labels(reason)


for _reason in ("slow_head", "slow_body", "slow_reader", "no_room"):
    _connections_ended(_reason)


def webhook_sent(result: str) -> None:
    _webhooks_sent(result).inc()


@cache
def _webhooks_sent(result: str) -> Counter:
    return WEBHOOKS_SENT.labels(result)


for _sent in ("delivered", "refused", "failed"):
    _webhooks_sent(_sent)


def over_released(feature: str) -> None:
    OVER_RELEASED.labels(feature).inc()


def batch_ended(events: int, seconds: float, *, committed: bool) -> None:
    BATCH_EVENTS.observe(events)
    BATCH_SECONDS.observe(seconds)
    if not committed:
        BATCH_FAILURES.inc()


def events_finished(state: str, count: int) -> None:
    _events(state).inc(count)


@cache
def _events(state: str) -> Counter:
    return EVENTS.labels(state)


def events_applied(lags: Iterable[float]) -> None:
    """`lags` in seconds; a clock that is behind Stripe's makes none negative."""
    for lag in lags:
        EVENT_LAG.observe(max(lag, 0))


def event_retried(state: str) -> None:
    RETRIES.labels(state).inc()


def stripe_expected(resources: Iterable[str]) -> None:
    """Create the series at the start, as above."""
    for resource in resources:
        for status in STRIPE_STATUSES:
            _stripe_requests(resource, status)


def stripe_asked(resource: str, status: str, seconds: float) -> None:
    _stripe_requests(resource, status).inc()
    STRIPE_SECONDS.observe(seconds)


@cache
def _stripe_requests(resource: str, status: str) -> Counter:
    return STRIPE_REQUESTS.labels(resource, status)


def decision_tally(feature: str, reason: str) -> Tally:
    """What to count up for each decision of that kind. The same list each time: keep it, and add in place."""
    return _decisions.setdefault((feature, reason), [0])


def flush() -> None:
    """Add the tallies to their counters."""
    for (feature, reason), tally in list(_decisions.items()):
        _bring(tally, _decision(feature, reason))
    _bring(HIT, _hits())
    _bring(MISS, _misses())
    _bring(HIT_AGE, CACHE_AGE)


_brought: dict[int, float] = {}


def _bring(tally: Tally, counter: Counter) -> None:
    # What was brought is remembered aside: setting the tally back to 0 could lose an increment of a thread.
    now = tally[0]
    before = _brought.get(id(tally), 0)
    _brought[id(tally)] = now
    counter.inc(now - before)


@cache
def _decision(feature: str, reason: str) -> Counter:
    return DECISIONS.labels(feature, reason)


@cache
def _hits() -> Counter:
    return CACHE_ANSWERS.labels("hit")


@cache
def _misses() -> Counter:
    return CACHE_ANSWERS.labels("miss")


@contextmanager
def shared_by(workers: int) -> Iterator[None]:
    """While the block runs, the processes that it starts put their numbers where each can read all.

    A directory that somebody has set already is theirs: gunicorn's set-up, or one on a disk in memory.
    """
    if workers == 1 or MULTIPROCESS_DIR in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="billing-metrics-") as folder:
        os.environ[MULTIPROCESS_DIR] = folder
        try:
            yield
        finally:
            del os.environ[MULTIPROCESS_DIR]


async def flush_always() -> None:
    """With several workers, whichever is scraped sees the others' tallies at most this old."""
    try:
        while MULTIPROCESS_DIR in os.environ:
            flush()
            await asyncio.sleep(FLUSH_SECONDS)
    finally:
        flush()
