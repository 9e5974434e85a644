"""`/metrics`, for Prometheus. It needs a key of the internal API, since it shows how business goes."""

import asyncio
from collections.abc import Mapping

import structlog
from fastapi import APIRouter, Request, Response, Security

from .. import __version__
from ..inbox.spool import Contents
from ..limits.prices import unmapped_prices
from ..observability.exposition import exposition
from ..observability.metrics import Gauges
from ..operations.backlog import Backlog, Waiting, read_backlog
from ..service import Running, Service
from ..web.routes import GuestRoute
from .auth import GuardedRoute, api_key_header
from .responses import UNAUTHORIZED

log = structlog.get_logger(__name__)

DATABASE_TIMEOUT_SECONDS = 2


class MetricsRoute(GuestRoute, GuardedRoute):
    """Behind a key, and giving way to the metrics of the application itself."""


router = APIRouter(
    tags=["health"],
    route_class=MetricsRoute,
    dependencies=[Security(api_key_header)],
    generate_unique_id_function=lambda route: route.name,
)


@router.get("/metrics", responses=UNAUTHORIZED, response_class=Response)
async def get_metrics(request: Request, service: Running) -> Response:
    """Everything that is counted, as Prometheus reads it. 200 also while the database is down."""
    state, backlog = await asyncio.gather(service.readiness(), _backlog(service))
    unmapped = await _unmapped(service) if backlog is not None else None
    spool = await _spool(service)
    values = gauges(
        backlog, spool, service.clock(), database_up=backlog is not None and state.database is None
    )
    if unmapped is not None:
        values = {**values, "billing_unmapped_prices": {(): float(unmapped)}}
    accept = request.headers.get("accept", "")
    body, media_type = await asyncio.to_thread(exposition, accept, values)
    return Response(body, media_type=media_type)


async def _backlog(service: Service) -> Backlog | None:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            return await read_backlog(service.database)
    except Exception as error:
        log.warning("backlog_not_read", error=type(error).__name__)
        return None


async def _unmapped(service: Service) -> int | None:
    """How many prices the catalogue lacks; None where they could not be counted."""
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS), service.database.reading() as session:
            return len(await unmapped_prices(await session.connection(), service.limits.catalogue))
    except Exception as error:
        log.warning("prices_not_read", error=type(error).__name__)
        return None


async def _spool(service: Service) -> Contents | None:
    try:
        return await service.spool.count()
    except OSError as error:
        log.warning("spool_not_read", error=type(error).__name__)
        return None


def _waiting(
    counts: str, ages: str, waiting: Mapping[str, Waiting], now: float
) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        counts: {(state,): each.count for state, each in waiting.items()},
        ages: {(state,): each.age(now) for state, each in waiting.items()},
    }


def gauges(backlog: Backlog | None, spool: Contents | None, now: float, *, database_up: bool) -> Gauges:
    """What was read, as gauges; what could not be read is left out. `now` in Unix seconds."""
    values: dict[str, dict[tuple[str, ...], float]] = {
        "billing_build_info": {(__version__,): 1.0},
        "billing_database_up": {(): float(database_up)},
    }
    if backlog is not None:
        values |= _waiting("billing_inbox_events", "billing_inbox_oldest_seconds", backlog.inbox, now)
        values |= _waiting("billing_outbox_entries", "billing_outbox_oldest_seconds", backlog.outbox, now)
        values["billing_needs_refresh"] = {(kind,): count for kind, count in backlog.needs_refresh.items()}
    if spool is not None:
        waiting = spool.files - spool.refused
        files = {"waiting": waiting, "refused": spool.refused, "rejected": spool.rejected}
        values["billing_spool_files"] = {(kind,): count for kind, count in files.items()}
        values["billing_spool_bytes"] = {(): spool.bytes}
    return values
