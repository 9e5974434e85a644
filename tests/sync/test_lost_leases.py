"""A job whose lease another process has taken over stops, and leaves the job's row alone."""

from typing import Any

import pytest

from app.errors import Unavailable
from app.stripe.client import StripeApi
from app.sync import leases
from app.sync.reconcile import Reconcile

from .conftest import Beside, Start
from .test_catch_up import lived

OTHER = "another process"


async def take_over(both: Beside, name: str) -> None:
    """Another process takes the lease once it has run out."""
    both.account.advance(leases.LEASE_SECONDS)
    assert await leases.acquire(both.service.database, name, both.account.now, holder=OTHER)


async def job_of(both: Beside, name: str) -> tuple[str | None, int | None]:
    job = await leases.load_job(both.service.database, name)
    assert job is not None
    return job.holder, job.finished_at


@pytest.mark.parametrize("half", ["lists", "the rest"])
@pytest.mark.rest_in_long(1)
async def test_a_reconcile_that_lost_its_lease_stops(
    any_database_url: str, beside: Start, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = lived(1)
    async with beside(any_database_url, account) as both:
        await both.client.deliver(*account.events)
        lost: list[str] = []
        compare, pages = Reconcile._compare_the_rest, StripeApi.pages

        async def slow_pages(api: StripeApi, path: str, **params: Any) -> Any:
            async for page in pages(api, path, **params):
                if half == "lists" and not lost:
                    lost.append(path)
                    await take_over(both, "reconcile")
                yield page

        async def slow_rest(reconcile: Any, kind: str, seen: set[bytes], *more: Any) -> None:
            if half == "the rest" and not lost:
                lost.append(kind)
                await take_over(both, "reconcile")
                seen.clear()  # all of them are looked at again
            await compare(reconcile, kind, seen, *more)

        monkeypatch.setattr(StripeApi, "pages", slow_pages)
        monkeypatch.setattr(Reconcile, "_compare_the_rest", slow_rest)
        assert both.service.reconcile is not None
        with pytest.raises(Unavailable, match="taken over"):
            await both.service.reconcile.run(repair=True)
        assert lost and await job_of(both, "reconcile") == (OTHER, None)


async def test_a_catch_up_that_lost_its_lease_leaves_the_cursor_alone(
    any_database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = lived(1)
    async with beside(any_database_url, account) as both:
        catch_up = both.service.catch_up
        assert catch_up is not None
        take_in = type(catch_up)._take_in

        async def slow(self: Any, events: Any) -> int:
            await take_over(both, "catch-up")
            return await take_in(self, events)

        monkeypatch.setattr(type(catch_up), "_take_in", slow)
        with pytest.raises(Unavailable, match="taken over"):
            await catch_up.run()
        assert await job_of(both, "catch-up") == (OTHER, None)
