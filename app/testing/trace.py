"""What one request of the application does: its calls of the limits, its writes and commits, and where.

A request can also be made to fail at one of its commits, as it would if the process were killed there.
"""

import inspect
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

import greenlet
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from .. import ROOT
from ..limits import Hold, Limits

GUARDS = {"consume": "consume", "consume_once": "consume", "consume_many": "consume_many"}
OTHERS = {"release": "release", "set_usage": "set_usage", "load": "load", "transfer": "transfer"}
OUR_TABLES = "billing_"
WRITE = re.compile(
    r'\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+(?:ONLY\s+)?(?:["`\w]+\.)?["`]?(\w+)', re.IGNORECASE
)
Kind = Literal["call", "write", "commit"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the application's code."""

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        path = Path(self.path)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{shown}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the request did. `name`: the function that it called, or the table that it wrote."""

    kind: Kind
    name: str
    place: Place | None
    transaction: object = None
    """Where it was written or committed."""

    @property
    def is_own_write(self) -> bool:
        """Whether it wrote a table of the application."""
        return self.kind == "write" and not self.name.startswith(OUR_TABLES)

    @property
    def is_usage(self) -> bool:
        return self.kind == "write" and self.name == "billing_usage"


@dataclass
class Trace:
    """The steps of one request, in order."""

    adapter: frozenset[CodeType] = frozenset()
    """The adapter's own code, which is not the application's."""
    fail_from: int | None = None
    """The number of the first commit that fails, counted from 1; all after it fail, too."""
    steps: list[Step] = field(default_factory=list)
    commits: int = 0
    was_interrupted: bool = False
    endpoint: Callable[..., Any] | None = None
    error: Exception | None = None

    def add(self, kind: Kind, name: str, transaction: object = None) -> None:
        self.steps.append(Step(kind, name, self.here(), transaction))

    def here(self) -> Place | None:
        """The innermost line of the application that is being executed."""
        for frame in _frames(sys._getframe(1)):
            if _is_applications(frame.f_code.co_filename) and frame.f_code not in self.adapter:
                return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        return None

    def calls(self, *names: str) -> list[Step]:
        """The calls of these functions of the limits."""
        return [step for step in self.steps if step.kind == "call" and step.name in names]

    def own_writes(self) -> list[Step]:
        return [step for step in self.steps if step.is_own_write]

    def commit(self, connection: Connection) -> None:
        """A transaction is about to be committed. One that wrote nothing is not counted.

        Raises:
            OperationalError: where the request is to fail here.
        """
        transaction = connection.get_transaction()
        if not any(step.kind == "write" and step.transaction is transaction for step in self.steps):
            return
        self.commits += 1
        if self.fail_from is not None and self.commits >= self.fail_from:
            self.was_interrupted = True
            connection.connection.rollback()
            raise OperationalError("COMMIT", None, ConnectionError("the conformance test lets it fail"))
        self.add("commit", "", transaction)

    def of_error(self) -> Place | None:
        """The application's line that raised the error."""
        places: list[Place] = []
        raised = self.error.__traceback__ if self.error else None
        while raised is not None:
            code = raised.tb_frame.f_code
            if _is_applications(code.co_filename) and code not in self.adapter:
                places.append(Place(code.co_filename, raised.tb_lineno, code.co_name))
            raised = raised.tb_next
        return places[-1] if places else None

    def of_endpoint(self) -> Place | None:
        """Where the route that answered is defined."""
        return place_of(self.endpoint) if self.endpoint is not None else None


traced: ContextVar[Trace | None] = ContextVar("traced", default=None)
"""The trace of the request that is under way; none while nobody looks."""


def place_of(function: Callable[..., Any]) -> Place | None:
    """Where a function is defined; None where there is no source of it."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno, code.co_name) if code is not None else None


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames that are being executed, from the innermost out.

    SQLAlchemy executes asynchronous statements in a greenlet; its parent has the coroutine that waits.
    """
    current: Any = greenlet.getcurrent()
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        current = current.parent
        if current is None:
            return
        frame = current.gr_frame


_paths = sysconfig.get_paths()
INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
LIBRARIES = (_paths["stdlib"], str(ROOT))


def _is_applications(filename: str) -> bool:
    """Whether it is neither a library's nor ours."""
    return not (
        filename.startswith("<") or filename.startswith(LIBRARIES) or INSTALLED.search(filename) is not None
    )


def _before_statement(connection: Connection, _: Any, statement: str, *__: Any) -> None:
    if (trace := traced.get()) is not None:
        for table in WRITE.findall(statement):
            if table.upper() != "SET":  # of ON CONFLICT … DO UPDATE SET
                trace.add("write", table, connection.get_transaction())


def _before_commit(connection: Connection) -> None:
    if (trace := traced.get()) is not None:
        trace.commit(connection)


def _recorded(owner: type, method: str, name: str) -> Callable[..., Any]:
    function = getattr(owner, method)

    @wraps(function)
    def record(*args: Any, **kwargs: Any) -> Any:
        if (trace := traced.get()) is not None:
            trace.add("call", name)
        return function(*args, **kwargs)

    return record


@contextmanager
def recording() -> Iterator[None]:
    """Within the block requests with a trace are recorded; what has none is left alone."""
    methods = [(Limits, method, name) for method, name in (GUARDS | OTHERS).items()]
    methods += [(Limits, "reserve", "reserve"), (Hold, "commit", "Hold.commit")]  # type: ignore[list-item]
    before = [(owner, method, getattr(owner, method)) for owner, method, _ in methods]
    for owner, method, name in methods:
        setattr(owner, method, _recorded(owner, method, name))
    event.listen(Engine, "before_cursor_execute", _before_statement)
    event.listen(Engine, "commit", _before_commit)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", _before_statement)
        event.remove(Engine, "commit", _before_commit)
        for owner, method, function in before:
            setattr(owner, method, function)
