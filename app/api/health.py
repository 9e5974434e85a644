"""`/healthz`: the process is alive. `/readyz`: an event could be stored now. Both open, for balancers."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from .. import __version__
from ..errors import Unavailable
from ..inbox.readiness import Readiness
from ..service import Running, Service
from ..web.routes import GuestRoute
from .responses import UNAVAILABLE

router = APIRouter(
    tags=["health"], route_class=GuestRoute, generate_unique_id_function=lambda route: route.name
)


class Alive(BaseModel):
    status: Literal["alive"]
    version: str = Field(examples=["1.0.0"])


class Ready(BaseModel):
    """`degraded`: only the spool takes events. `notes`: why, and what else is worth knowing."""

    status: Literal["ready", "degraded"]
    notes: list[str]


@router.get("/healthz")
async def healthz() -> Alive:
    """Alive."""
    return Alive(status="alive", version=__version__)


@router.get("/readyz", responses=UNAVAILABLE)
async def readyz(service: Running) -> Ready:
    """Ready: an event would be made durable now, by a write that was tried within the last seconds.

    `degraded`, and 200, while only the spool takes events. 503 with the reasons when nothing does, or when
    the database lacks a migration.
    """
    state = await service.readiness()
    if state.status == "not ready":
        raise Unavailable(" ".join(_reasons(service, state)))
    # It still takes events: a balancer must not remove the very replicas that do.
    return Ready(status=state.status, notes=[*_reasons(service, state), *notes(service, state)])


def _reasons(service: Service, state: Readiness) -> list[str]:
    if state.is_behind:
        return [state.database or ""]
    spool = state.spool if service.settings.spool_dir is not None else None
    return [reason for reason in (state.database, spool) if reason is not None]


def notes(service: Service, state: Readiness) -> list[str]:
    """What is worth knowing, though nothing is wrong."""
    found = [state.note] if state.note else []
    if refused := service.arrivals.refused_all:
        found.append(
            f"Webhooks refused for their signatures since the start: {refused}, and none was accepted. If "
            "Stripe sent them, STRIPE_WEBHOOK_SECRET is not the signing secret of its endpoint: see doctor."
        )
    if service.settings.livemode is None:
        found.append("LIVEMODE is unset: events of test mode and live mode both count. Set it in production.")
    return found
