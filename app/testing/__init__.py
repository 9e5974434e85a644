"""For an application's own tests: fixtures of pytest, and the conformance test of an application.

    from app.testing import Adapter

The plugin of pytest (`app.pytest_plugin`) gives the fixtures and the option `--billing-conformance`.
"""

from .adapter import Adapter
from .billing import Billing
from .clock import Clock

__all__ = ["Adapter", "Billing", "Clock"]
