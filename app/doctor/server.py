"""How the HTTP server was started."""

from ..checks.finding import Finding
from ..worker.server_report import REMEDY, server_ends_connections
from .checks import Check
from .installation import Installation


async def connections_end(installation: Installation) -> list[Finding]:
    if await server_ends_connections(installation.database) is not False:
        return []
    return [
        Finding(
            "warning",
            "The HTTP server never closes a slow client's connection: some hundreds stop all webhooks.",
            REMEDY,
        )
    ]


CHECKS = (Check("connections", "The HTTP server ends every connection.", connections_end, ("records",)),)
