"""A signed body that is no event of Stripe's: 400 with what to do, and nothing stored."""

import orjson
import pytest
from sqlalchemy import text

from ..client import running


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"hello": "world"},
        {"object": "customer", "id": "cus_1"},
        {"version": "0", "id": "a", "detail-type": "customer.updated", "detail": {"object": "event"}},
        {"specversion": "1.0", "id": "a", "type": "customer.updated", "data": {"object": "event"}},
    ],
    ids=["empty", "no member of one", "another object", "EventBridge", "Event Grid"],
)
async def test_what_is_no_event_is_refused_with_what_to_do(
    sqlite_database: str, body: dict[str, object]
) -> None:
    async with running(sqlite_database) as client:
        response = await client.post_signed(orjson.dumps(body))
        assert response.status_code == 400
        assert "`detail` of Amazon EventBridge" in response.json()["detail"]
        async with client.app.state.billing.database.reading() as session:
            count = await (await session.connection()).execute(text("SELECT COUNT(*) FROM billing_event"))
            assert count.scalar_one() == 0
