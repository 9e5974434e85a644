"""The application's receivers: whether they can be imported, and are of types that Stripe sends."""

from ..checks.finding import Finding
from ..errors import ConfigurationError
from ..inbox.handlers import HANDLERS, handled
from ..operations.webhook_endpoint import api_version
from ..service import import_receivers
from ..stripe.event_types import unknown_types
from .checks import Check
from .installation import Installation


async def receivers_are_connected(installation: Installation) -> list[Finding]:
    """Imports the application's receivers: the types that they are connected to are handled, too."""
    try:
        import_receivers(installation.settings.receivers)
    except ConfigurationError as error:
        what, _, remedy = error.detail.partition("). ")
        return [Finding("error", f"{what}).", remedy)]
    except Exception as error:
        return [
            Finding(
                "error",
                f"A module of RECEIVERS fails while it is imported ({type(error).__name__}).",
                "Import it yourself to see why: `python -c 'import …'`.",
            )
        ]
    unknown = sorted(set(unknown_types(handled())) - HANDLERS.keys())
    return [
        Finding(
            "warning",
            f"A receiver is connected to {name}, which Stripe's API {api_version()} does not have: it is "
            "never called.",
            'Write the type as in Stripe\'s "Types of events".',
        )
        for name in unknown
    ]


CHECKS = (Check("receivers", "Every receiver is of a type that Stripe sends.", receivers_are_connected),)
