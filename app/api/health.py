"""`/healthz`: the process is alive. `/readyz`: it can do its work. Both open, for balancers."""

import asyncio
from typing import Any

from fastapi import APIRouter

from .. import __version__
from ..db.migrations import behind
from ..errors import Unavailable
from ..service import Running, Service

router = APIRouter(tags=["health"])

DATABASE_TIMEOUT_SECONDS = 2


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "alive", "version": __version__}


@router.get("/readyz", responses={503: {"description": "Not ready, why, and what to do"}})
async def readyz(service: Running) -> dict[str, Any]:
    """Ready: the database answers and its migrations are those of the code. Else 503, with the remedy.

    `degraded`, and 200, while the database is down and the spool takes events.
    """
    reason = await unreachable(service)
    if reason is None:
        if forgotten := await behind(service.database):
            raise Unavailable(forgotten)  # every route of the application would fail
        return {"status": "ready", "notes": notes(service)}
    if not service.spool.is_usable():
        raise Unavailable(reason)
    # It still takes events: a balancer must not remove the very replicas that do.
    return {"status": "degraded", "notes": [reason, *notes(service)]}


async def unready(service: Service) -> str | None:
    """Why the service cannot do its work, and what to do; None when it can."""
    return await unreachable(service) or await behind(service.database)


async def unreachable(service: Service) -> str | None:
    """Why the database does not answer, and what to do; None when it does."""
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            await behind(service.database)
    except Exception as error:
        return (
            f"The database does not answer ({type(error).__name__}). Check that it runs, and that "
            "DATABASE_URL names it with the right user and password."
        )
    return None


def notes(service: Service) -> list[str]:
    """What is worth knowing, though nothing is wrong."""
    if service.settings.livemode is None:
        return ["LIVEMODE is unset: events of test mode and live mode both count. Set it in production."]
    return []
