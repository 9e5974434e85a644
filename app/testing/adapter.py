"""What the conformance test needs to know of an application."""

from collections.abc import Awaitable
from typing import ClassVar

import httpx
from fastapi import FastAPI

from ..config import Settings
from ..service import Service


class Adapter:
    """How to create, delete and count one limited thing of an application, as one of its users.

    Write a subclass and name it to pytest. The test makes the users, and drives each through a client of its
    own. All methods but `make_app` may be asynchronous.
    """

    feature: ClassVar[str]
    """The feature that limits the thing; an `allocated` one of the catalogue."""
    amount: ClassVar[int] = 1
    """How much of the feature one thing uses."""
    plan: ClassVar[str | None] = None
    """The plan to subscribe to; None: the smallest plan with a price whose limit is above the default's."""

    service: Service
    """The running service of the application; set before the first request."""

    def make_app(self, settings: Settings) -> FastAPI:
        """The application with the service installed, not yet started.

        The same settings are in the environment (`DATABASE_URL` and so on). So a module that calls
        `install(app)` when it is imported may be imported here, and not before.
        """
        raise NotImplementedError("make_app: return your FastAPI application.")

    def act_as(self, client: httpx.AsyncClient, user: str) -> Awaitable[str | None] | str | None:
        """Make all requests of this client those of this user: set a header, a cookie, or sign up and log in.

        Return the id by which your application names the user to the limits, where that is not `user`.
        """
        raise NotImplementedError("act_as: set what identifies the user on `client`.")

    def create(self, client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        """Create one thing. A success creates it, 4xx is a denial."""
        raise NotImplementedError("create: send the request that creates one thing.")

    def delete(self, client: httpx.AsyncClient, id: str) -> Awaitable[httpx.Response]:
        """Delete a thing."""
        raise NotImplementedError("delete: send the request that deletes one thing.")

    def count(self, client: httpx.AsyncClient) -> Awaitable[int] | int:
        """How many things the client's user has, of those that are there."""
        raise NotImplementedError("count: say how many things the user has.")

    def id_of(self, created: httpx.Response) -> str:
        """The id of what `create` has created; by default the member `id` of the answer."""
        return str(created.json()["id"])
