"""How many times an answer is written: a head together with its body, and what does not wait for one."""

import asyncio
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.web.protocol import BoundedHttp
from tests.waiting import until

HEAD_END = b"\r\n\r\n"


class Written(asyncio.Transport):
    """A transport that keeps what is written to it, piece by piece."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 1)})
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing more is sent to it anyway."""

    def resume_reading(self) -> None:
        """As above."""


app = FastAPI()
first_piece_is_due = asyncio.Event()


@app.api_route("/plain", methods=["GET", "HEAD"])
async def plain() -> PlainTextResponse:
    return PlainTextResponse("all of it")


@app.get("/empty", status_code=204)
async def empty() -> None:
    return None


@app.post("/body")
async def body(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


@app.get("/streamed")
async def streamed() -> StreamingResponse:
    async def pieces() -> Any:
        await first_piece_is_due.wait()
        yield b"one"
        yield b"two"

    return StreamingResponse(pieces())


async def fails_after_its_head(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    raise RuntimeError("no body")


async def connected(asked: Any = app) -> tuple[BoundedHttp, Written]:
    config = uvicorn.Config(asked, log_config=None, access_log=False)
    config.load()
    protocol = BoundedHttp(config, ServerState(), {})
    transport = Written()
    protocol.connection_made(transport)
    return protocol, transport


def request(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: billing.test", *headers, "", ""]).encode()


async def test_head_and_body_are_written_at_once() -> None:
    protocol, transport = await connected()
    for count in (1, 2):
        protocol.data_received(request("GET", "/plain"))
        await until(lambda: protocol.cycle.response_complete)
        assert len(transport.pieces) == count
        head, _, content = transport.pieces[-1].partition(HEAD_END)
        assert (head.split(b"\r\n")[0], content) == (b"HTTP/1.1 200 OK", b"all of it")


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/plain"), ("GET", "/empty")])
async def test_a_head_without_a_body_is_written(method: str, path: str) -> None:
    protocol, transport = await connected()
    protocol.data_received(request(method, path))
    await until(lambda: protocol.cycle.response_complete)
    (piece,) = filter(None, transport.pieces)
    assert piece.endswith(HEAD_END)


async def test_pipelined_answers_are_each_written_in_their_turn() -> None:
    protocol, transport = await connected()
    protocol.data_received(request("GET", "/plain") + request("HEAD", "/plain") + request("GET", "/empty"))
    await until(lambda: len(b"".join(transport.pieces).split(b"HTTP/1.1 ")) == 4)
    statuses = [piece[:3] for piece in b"".join(transport.pieces).split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"204"]


async def test_the_head_of_a_stream_does_not_wait_for_its_first_piece() -> None:
    first_piece_is_due.clear()
    protocol, transport = await connected()
    protocol.data_received(request("GET", "/streamed"))
    await until(lambda: bool(transport.pieces))
    assert transport.pieces[0].endswith(HEAD_END)
    first_piece_is_due.set()
    await until(lambda: protocol.cycle.response_complete)
    assert b"".join(transport.pieces[1:]) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_the_client_that_waits_with_its_body_gets_the_interim_answer_at_once() -> None:
    protocol, transport = await connected()
    protocol.data_received(request("POST", "/body", "Content-Length: 4", "Expect: 100-continue"))
    await until(lambda: bool(transport.pieces))
    assert transport.pieces == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    protocol.data_received(b"body")
    await until(lambda: protocol.cycle.response_complete)
    assert len(transport.pieces) == 2
    assert transport.pieces[1].endswith(HEAD_END + b"body")


async def test_an_application_that_fails_after_its_head_has_that_sent_before_the_connection_is_closed() -> (
    None
):
    protocol, transport = await connected(fails_after_its_head)
    protocol.data_received(request("GET", "/"))
    await until(lambda: transport.closed)
    (piece,) = transport.pieces
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(HEAD_END)
