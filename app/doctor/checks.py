"""What the doctor looks for: checks of its own, and those of the catalogue."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..checks import BY_NAME, Finding
from .installation import Installation, Need


@dataclass(frozen=True, slots=True)
class Check:
    """One mistake that can be looked for. `fine` is said where `run` finds nothing."""

    name: str
    fine: str
    run: Callable[[Installation], Awaitable[list[Finding]]]
    needs: tuple[Need, ...] = ()


def of_catalogue(name: str, *needs: Need) -> Check:
    """The check of this name in the catalogue."""
    check = BY_NAME[name]

    async def run(installation: Installation) -> list[Finding]:
        return await check.find(await installation.context(), None)

    return Check(name, check.fine, run, needs)
