"""What was announced, for the tests of thresholds."""

from ...reactions.conftest import listener as listener

PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
seats = { kind = "allocated" }
[plans.free]
projects = { limit = 10, warn_at = [0.8, 1.0] }
api_calls = { limit = 100, warn_at = [0.5, 0.8] }
[plans.team]
prices = ["price_team"]
projects = "unlimited"
api_calls = { limit = 200, soft = true, warn_at = [0.8] }
"""
