"""The fixtures on a database that the test names."""

import pytest

from app.testing import Billing

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def billing_database_url(empty_database_url: str) -> str:
    return empty_database_url


def test_an_empty_database_is_brought_up_to_the_code(billing: Billing) -> None:
    billing.subscribe("ada", "team")
    billing.set_usage("ada", "projects", 2)
    assert (billing.entitlements("ada").plan, billing.usage("ada", "projects")) == ("team", 2)
