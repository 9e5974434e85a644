"""Serve the API on 127.0.0.1, in this event loop or in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Unpack

import uvicorn

from ..account import Account
from .app import Options, stripe_api_app

HOST = "127.0.0.1"
END_SECONDS = 1


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the business of whoever is around us."""
        yield


@asynccontextmanager
async def serving(account: Account, *, port: int = 0, **options: Unpack[Options]) -> AsyncIterator[str]:
    """Serve the account's API while the block runs; gives its address, `http://127.0.0.1:<port>`.

    A free port is taken where none is named; the options are those of `stripe_api_app`. Requests that are
    under way at the end are given a second.

    Raises:
        OSError: when the port is taken.
    """
    # asyncio switches Nagle's algorithm off only where the protocol is named: without that, 40 ms an answer
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        server = _Server(
            uvicorn.Config(
                stripe_api_app(account, **options),
                lifespan="off",
                log_config=None,
                access_log=False,
                date_header=False,  # the account's clock is on the answers, not this machine's
                server_header=False,
                timeout_graceful_shutdown=END_SECONDS,
            )
        )
        task = asyncio.create_task(server.serve([listener]))
        try:
            await server.listening.wait()
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@contextmanager
def serving_in_thread(account: Account, *, port: int = 0, **options: Unpack[Options]) -> Iterator[str]:
    """As `serving`, in a thread with an event loop of its own, for code that is not async.

    The account has no locks: leave it alone while requests are under way.

    Raises:
        OSError: when the port is taken.
    """
    address: Future[str] = Future()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        try:
            async with serving(account, port=port, **options) as base_url:
                address.set_result(base_url)
                await end.wait()
        except OSError as error:
            address.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=[run()], daemon=True)
    thread.start()
    try:
        yield address.result()
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()
