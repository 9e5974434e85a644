"""`GET /` leads a newcomer to what this installation serves."""

import re
from typing import Any

import pytest
from pydantic import SecretStr

from ..admin.visitor import USERNAME, password_hash
from ..client import running


async def test_every_link_on_the_first_page_is_served(sqlite_database: str) -> None:
    async with running(
        sqlite_database, admin_username=USERNAME, admin_password_hash=SecretStr(password_hash())
    ) as client:
        page = await client.http.get("/", headers={"Accept": "text/html,*/*"})
        links = re.findall(r'href="([^"]+)"', page.text)
        assert links[:2] == ["/admin/", "/docs"]
        for path in links:
            assert (await client.http.get(path)).status_code in (200, 303, 401), path


@pytest.mark.parametrize("changes", [{"api_docs": False}])
async def test_programs_get_json_and_only_what_is_switched_on(
    sqlite_database: str, changes: dict[str, Any]
) -> None:
    async with running(sqlite_database, **changes) as client:
        answer = (await client.http.get("/")).json()
        assert set(answer["links"].values()) == {"/readyz", "/healthz", "/metrics"}
