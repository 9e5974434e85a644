"""Adapters for the conformance test, which drives these applications through all that billing can do to them:

`pytest --billing-conformance --billing-adapter examples.conformance:Projects`.
"""

import httpx
from fastapi import FastAPI
from sqlmodel import col, func, select

from app.config import Settings
from app.testing import Adapter

MEBIBYTE = 2**20


class Projects(Adapter):
    """Projects of `examples/main.py`."""

    feature = "projects"

    def make_app(self, settings: Settings) -> FastAPI:
        from .main import app  # reads the settings from the environment when it is imported

        return app

    def act_as(self, client: httpx.AsyncClient, user: str) -> None:
        client.headers["X-User"] = user

    async def create(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/projects", params={"name": "one"})

    async def delete(self, client: httpx.AsyncClient, id: str) -> httpx.Response:
        return await client.delete(f"/projects/{id}")

    async def count(self, client: httpx.AsyncClient) -> int:
        return len((await client.get("/projects")).json()["names"])


class SyncProjects(Projects):
    """Projects of `examples/sync_app.py`, with synchronous sessions."""

    def make_app(self, settings: Settings) -> FastAPI:
        from .sync_app import app

        return app


class Files(Projects):
    """Files of `examples/main.py`: each uses as many bytes as it has."""

    feature = "storage_bytes"
    amount = MEBIBYTE

    async def create(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/files", params={"name": "film", "size": MEBIBYTE})

    async def delete(self, client: httpx.AsyncClient, id: str) -> httpx.Response:
        return await client.delete(f"/files/{id}")

    async def count(self, client: httpx.AsyncClient) -> int:
        from .projects import StoredFile

        owned = select(func.count()).where(col(StoredFile.owner) == client.headers["X-User"])
        async with self.service.database.reading() as session:
            return (await session.exec(owned)).one()


class Uploads(Files):
    """Uploads of `examples/uploads.py`, which are reserved first and count by their real size."""

    async def create(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/uploads", params={"name": "film"}, content=bytes(MEBIBYTE))
