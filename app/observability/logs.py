"""Logging through structlog: JSON lines, or coloured text in a terminal. Values are escaped in both.

Of an exception the log has the kind and the frames, never the message: that may hold anybody's data.
"""

import json
import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .redaction import described


def join_logging() -> None:
    """In somebody else's process: lines go where its logging sends them, unless it has set structlog up."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def configure_logging(level: int = logging.INFO) -> None:
    """Send our own lines and those of libraries to standard error, in one form, from a level of `logging` on.

    Our own do not go through the standard library's logging: a line takes four times as long there, of
    the time in which the process could take events in.
    """
    terminal = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        describe_exception,
    ]
    rendering: list[Processor] = [to_json]
    if terminal:
        rendering = [escape, structlog.dev.ConsoleRenderer(pad_event_to=0, pad_level=False)]
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("alembic", "httpx", "stripe"):
        logging.getLogger(name).setLevel(logging.WARNING)


def to_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """The line as JSON, in ASCII: beyond that are characters which terminals obey."""
    try:
        line = orjson.dumps(event, default=repr).decode()
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(event, default=repr)
    return line if line.isascii() else json.dumps(event, default=repr)


def describe_exception(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Put kind and frames in the place of the exception."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["raised"] = described(error)
    return event


def escape(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Write what a terminal would obey, or take for a line of its own, as escapes."""
    return {
        _escaped(key): _escaped(value) if isinstance(value, str) else value for key, value in event.items()
    }


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
