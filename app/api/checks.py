"""`/internal/checks`: what is wrong with the installation, as `status` and the doctor say it, too."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ..errors import Unavailable
from ..operations.checks import as_json, check_service
from ..service import Running
from .auth import GuardedRoute

router = APIRouter(prefix="/checks", route_class=GuardedRoute)


class CheckOut(BaseModel):
    """One finding of a check; of level `ok`, without a remedy, where it finds nothing."""

    check: str = Field(examples=["dead-events"])
    level: Literal["ok", "hint", "warning", "error"]
    what: str = Field(examples=["No event is dead."])
    remedy: str | None


class ChecksOut(BaseModel):
    """`ok`: no finding is an error or a warning."""

    ok: bool
    findings: list[CheckOut]


@router.get("")
async def get_checks(service: Running) -> ChecksOut:
    """Every check of the records and the background work, with what it finds and the remedy.

    503 with the reason while the database does not take events: then nothing could be said of them.
    """
    state = await service.readiness()
    if state.database is not None:
        raise Unavailable(state.database)
    findings = [CheckOut.model_validate(each) for each in as_json(await check_service(service))]
    return ChecksOut(ok=all(each.level in ("ok", "hint") for each in findings), findings=findings)
