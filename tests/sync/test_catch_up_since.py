"""An interrupted catch-up goes on, and then lists what was made since it began."""

import pytest

from app.simulator import DAY, Account

from .conftest import Start
from .test_catch_up import NOW, catch_up

pytestmark = pytest.mark.postgresql_in_long


async def test_one_that_goes_on_lists_what_was_made_since_it_was_cut_off_too(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW)
    account.create_customer()
    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None

        def cut(listed: int, missing: int) -> None:
            raise KeyError("cut off")

        with pytest.raises(KeyError):
            await both.service.catch_up.run(NOW, cut)
        account.advance(DAY)
        lost = account.create_customer().id
        account.advance(60)
        found = await catch_up(both, NOW)
        assert (await both.client.get(f"/internal/customers/{lost}")).status_code == 200
        assert found.missing == 2
        assert (await catch_up(both)).missing == 0
