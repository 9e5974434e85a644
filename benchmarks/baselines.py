"""What the service is measured against; `python -m benchmarks.baselines NAME PORT` serves one.

`verify-only`: the least that any webhook route does. `hand-written`: what one writes by hand with asyncpg,
one transaction a request. Both are served as the service is. `no-op` is no server worth the name: it counts
bytes and answers, to see how fast the load generator can be.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import asyncpg
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Header, Request, Response

from app.main import GARBAGE_THRESHOLDS
from app.stripe.signatures import verify

from .load import END_OF_HEAD, LENGTH
from .workload import PATH, SECRET

ANSWER = b'{"received":true,"status":"verified"}'
SCHEMA = """
CREATE TABLE bench_event (id text PRIMARY KEY, type text NOT NULL, created bigint, body text NOT NULL);
CREATE TABLE bench_subscription (
    id text PRIMARY KEY, customer_id text, status text, period_end bigint, created bigint
)
"""
STORE = "INSERT INTO bench_event (id, type, created, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
UPSERT = """
INSERT INTO bench_subscription AS stored (id, customer_id, status, period_end, created)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id,
    status = coalesce(excluded.status, stored.status),
    period_end = coalesce(excluded.period_end, stored.period_end), created = excluded.created
WHERE stored.created <= excluded.created
"""


def verify_only() -> FastAPI:
    app = FastAPI(lifespan=_tuned)

    @app.post(PATH)
    async def webhook(request: Request, stripe_signature: Annotated[str | None, Header()] = None) -> Response:
        body = await request.body()
        verify(body, stripe_signature, [SECRET], time.time())
        orjson.loads(body)
        return Response(ANSWER, media_type="application/json")

    return app


def hand_written(url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=10, max_size=10) as app.state.pool, _tuned(app):
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post(PATH)
    async def webhook(request: Request, stripe_signature: Annotated[str | None, Header()] = None) -> Response:
        body = await request.body()
        verify(body, stripe_signature, [SECRET], time.time())
        event = orjson.loads(body)
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            await connection.execute(STORE, event["id"], event["type"], event["created"], body.decode())
            await connection.execute(UPSERT, *_subscription(event))
        return Response(ANSWER, media_type="application/json")

    return app


def _subscription(event: dict[str, Any]) -> tuple[Any, ...]:
    """The subscription's columns; an invoice knows only how far it is paid."""
    content = event["data"]["object"]
    if content["object"] == "subscription":
        end = content["items"]["data"][0]["current_period_end"]
        return content["id"], content["customer"], content["status"], end, event["created"]
    parent = content["parent"]["subscription_details"]["subscription"]
    end = content["lines"]["data"][0]["period"]["end"] if content["status"] == "paid" else None
    return parent, content["customer"], None, end, event["created"]


@asynccontextmanager
async def _tuned(app: FastAPI) -> AsyncIterator[None]:
    """The garbage collector as the service has it: that is no merit of batches."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    yield


class NoOp(asyncio.Protocol):
    """Answers every request without reading it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no such base class
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(END_OF_HEAD)
        length = LENGTH.search(head)
        if separator and len(body) >= (int(length[1]) if length else 0):
            self._buffer = b""
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))


async def serve_no_op(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(NoOp, "127.0.0.1", port)
    await server.serve_forever()


def main(name: str, port: int, url: str = "") -> None:
    if name == "no-op":
        uvloop.run(serve_no_op(port))
    uvicorn.run(
        verify_only() if name == "verify-only" else hand_written(url),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
