"""The tests. The folders mirror those of `app/`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""
SHARED = ROOT.parent / "shared" / "fixtures"
"""Stripe's own samples; tests that need them are skipped where they are not."""
