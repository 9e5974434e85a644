"""Fixtures. A test that takes `database_url` runs on both databases, each time on a fresh one."""

import asyncio
import gc
import itertools
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadGroupScheduling

from .waiting import LONGEST_SECONDS

# The process that only gives out the tests would take three seconds to import the application.
if TYPE_CHECKING:
    from .database_pool import DatabasePool

# The same examples each time in `make test`; others each time, and ten times as many, in `make test-deep`.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
    derandomize=True,
)
settings.register_profile("long", settings.get_profile("default"), derandomize=False, max_examples=1000)
settings.load_profile("default")

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # noqa: S108
"""Databases in memory, where there is so much of it (bytes): no test cuts the power, and it saves a sixth."""
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

STRIPE_WAITS_SECONDS = 0.01
"""How long Stripe's client waits before it tries again."""

TEST_SECONDS, LONGER = 600, 6
"""When a test has hung; and how many times as long those take that are left out of `make test`."""
LEFT_OUT = ("long", "deep", "fuzz", "chaos", "browser")
"""What `make test` leaves out."""

STARTING = ("tests.processes", "tests.faults.servers")
"""The modules that start processes of the application."""

_numbers = itertools.count(1)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before tests are collected, in each process that runs some: not in the one that gives them out."""
    if session.config.option.dist != "no":
        return
    import stripe

    from .shared_routes import share_routes
    from .shared_work import share_work

    share_routes()
    share_work()
    stripe.HTTPClient.INITIAL_DELAY = STRIPE_WAITS_SECONDS


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the event loop of the server."""
    return {"uvloop": uvloop.new_event_loop}


_cases: Counter[tuple[str, bool]] = Counter()
"""How many cases of each test run in `make test`, by its name and whether they are on PostgreSQL."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave to `make test-long`, or to `make test-deep`, what the markers say; see `pyproject.toml`."""
    parameters = getattr(item, "callspec", None)
    on_postgresql = parameters is not None and "postgresql" in parameters.params.values()
    if on_postgresql and item.get_closest_marker("postgresql_in_long") is not None:
        item.add_marker(pytest.mark.long)
    if on_postgresql and item.get_closest_marker("postgresql_in_deep") is not None:
        item.add_marker(pytest.mark.deep)
    if any(item.get_closest_marker(name) for name in LEFT_OUT):
        return
    rest = item.get_closest_marker("rest_in_long")
    case = (item.nodeid.partition("[")[0], on_postgresql)
    _cases[case] += 1
    if rest is not None and _cases[case] > rest.args[0]:
        item.add_marker(pytest.mark.long)
    elif on_postgresql or any("postgres" in name for name in getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.xdist_group("postgresql"))  # so that one process starts a server
    elif _starts_processes(getattr(item, "module", None)):
        item.add_marker(
            pytest.mark.xdist_group("processes")
        )  # so that one process imports the application again


@cache
def _starts_processes(module: ModuleType | None) -> bool:
    """Whether the tests of a module start processes of the application: they are forked from another one."""
    named = () if module is None else vars(module).values()
    return any(each.__module__ in STARTING for each in named if isinstance(each, type | FunctionType))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In `make test` give out whole files: tests one by one take the controlling process ten seconds."""
    if "not long" not in config.option.markexpr:
        return None  # the usual one: a file of long tests would keep one process busy at the end
    scheduler = LoadGroupScheduling(config, log)
    group_of = scheduler._split_scope

    def group_or_file(nodeid: str) -> str:
        group: str = group_of(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group

    scheduler._split_scope = group_or_file
    return scheduler


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the groups of xdist count: xdist 3.8 writes them where pytest 9.2 does not look any more."""
    for item in items:
        if (with_group := getattr(item, "_nodeid", None)) is not None:
            item._id = type(item._id).parse(with_group)


gc.disable()
"""While tests are collected: everything that is made then stays."""


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the garbage collection need not look at it again and again.

    That took a fifth of the processor time of tests.
    """
    from app.main import GARBAGE_THRESHOLDS

    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    gc.enable()


class TookTooLong(SystemExit):
    """Ends a test that hangs. A SystemExit, because a task of asyncio keeps every other error to itself."""


def _give_up(*_: object) -> None:
    raise TookTooLong("The test took too long.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """No test hangs, whatever the code does: it fails after some minutes."""
    longer = any(item.get_closest_marker(name) for name in LEFT_OUT)
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS * (LONGER if longer else 1), 1)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


TIME_LIMITS = (
    "app.inbox.webhook.DATABASE_TIMEOUT_SECONDS",
    "app.inbox.inbox.BATCH_TIMEOUT_SECONDS",
    "app.inbox.inbox.SPLIT_SECONDS",
    "app.inbox.locked.LOOK_TIMEOUT_SECONDS",
    "app.operations.links.UPDATE_TIMEOUT_SECONDS",
    "app.inbox.readiness.TIMEOUT_SECONDS",
    "app.api.metrics.DATABASE_TIMEOUT_SECONDS",
    "app.inbox.spool.DISK_SECONDS",
    "app.doctor.storage.DATABASE_TIMEOUT_SECONDS",
    "app.db.postgres.CONNECT_TIMEOUT_SECONDS",
    "app.db.base.POOL_SECONDS",
)
"""How long the service waits for its database. A busy machine exceeds them now and then."""


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """No test leaves the process's log on an output of its own: that is closed when the next test writes."""
    import structlog

    yield
    if isinstance(structlog.get_config()["logger_factory"], structlog.WriteLoggerFactory):
        structlog.reset_defaults()
        pytest.fail(
            "The test has configured logging for the process: see `keep_logging` in tests/cli/shell.py"
        )


@pytest.fixture(autouse=True)
def patient_service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service waits as long as its database takes, unless the test is marked `real_time_limits`."""
    if request.node.get_closest_marker("real_time_limits") is None:
        from app.db import postgres

        for place in TIME_LIMITS:
            module, _, name = place.rpartition(".")
            monkeypatch.setattr(import_module(module), name, LONGEST_SECONDS)
        arguments = postgres.PostgresDatabase.__init__.__kwdefaults__
        assert arguments is not None
        monkeypatch.setitem(arguments, "statement_timeout", LONGEST_SECONDS)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: the one of TEST_DATABASE_URL, or one started here."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    from .databases import PostgresServer

    server = PostgresServer()
    server.start()
    yield server.url
    server.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    from app.db.migrations import migrate

    from .database_pool import drop_database
    from .databases import run_sql, with_database

    name = f"billing_template_{os.getpid()}"
    asyncio.run(run_sql(postgres_url, f"CREATE DATABASE {name}"))
    migrate(with_database(postgres_url, name))
    yield name
    drop_database(postgres_url, name)


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str, postgres_template: str) -> Iterator["DatabasePool"]:
    from .database_pool import DatabasePool

    pool = DatabasePool(postgres_url, postgres_template)
    yield pool
    pool.close()


@pytest.fixture
def postgres_database(postgres_databases: "DatabasePool") -> Iterator[str]:
    """The address of a migrated PostgreSQL database without rows."""
    with postgres_databases.database() as url:
        yield url


@pytest.fixture
def empty_postgres_database(postgres_url: str) -> Iterator[str]:
    """The address of a fresh PostgreSQL database without any table."""
    from .database_pool import copy_database, drop_database
    from .databases import with_database

    name = f"billing_empty_{os.getpid()}_{next(_numbers)}"
    copy_database(postgres_url, name, "template0")
    yield with_database(postgres_url, name)
    drop_database(postgres_url, name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that others are copied from."""
    from app.db.migrations import migrate

    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, sqlite_template: Path) -> str:
    """The address of a fresh, migrated SQLite database."""
    shutil.copy(sqlite_template, tmp_path / "app.db")
    return f"sqlite:///{tmp_path / 'app.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh, migrated database, on each kind in turn."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    url: str = request.getfixturevalue(f"{kind}_database")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """The same for tests to which the kind matters little: on PostgreSQL in `make test-long` alone."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    url: str = request.getfixturevalue(f"{kind}_database")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh database without any table, on each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_database")
    return url
