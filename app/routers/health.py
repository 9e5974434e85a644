"""`/healthz`: the process is alive. `/readyz`: it can do its work. Both open, for balancers."""

import asyncio
from typing import Any

from fastapi import APIRouter

from ..errors import Unavailable
from ..migrations import behind
from ..service import Running, Service

router = APIRouter(tags=["health"])

DATABASE_TIMEOUT_SECONDS = 2


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "Not ready, why, and what to do"}})
async def readyz(service: Running) -> dict[str, Any]:
    """Ready: the database answers and its migrations are those of the code. Else 503, with the remedy.

    `degraded`, and 200, while the database is down and the spool takes events.
    """
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            forgotten = await behind(service.database)
    except Exception as error:
        reason = (
            f"The database does not answer ({type(error).__name__}). Check that it runs, and that "
            "DATABASE_URL names it with the right user and password."
        )
        if not service.spool.is_usable():
            raise Unavailable(reason) from None
        # It still takes events: a balancer must not remove the very replicas that do.
        return {"status": "degraded", "notes": [reason, *_notes(service)]}
    if forgotten:
        raise Unavailable(forgotten)  # every route of the application would fail
    return {"status": "ready", "notes": _notes(service)}


def _notes(service: Service) -> list[str]:
    if service.settings.livemode is None:
        return ["LIVEMODE is unset: events of test mode and live mode both count. Set it in production."]
    return []
