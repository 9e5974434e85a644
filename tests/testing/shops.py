"""Applications made from `examples/projects.py` and `examples/sync_app.py`, some of them with a mistake.

Each is a package of its own, with a table of its own, so that one process can run them one after the other.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

from .. import ROOT
from ..processes import run

PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
storage_bytes = { kind = "allocated" }
sso = { kind = "boolean" }
[plans.free]
projects = 2
[plans.pro]
prices = ["price_pro"]
projects = 5
"""
ADAPTER = """
from examples.conformance import Projects


class {name}(Projects):
    def make_app(self, settings):
        from {name}.main import app

        return app
"""
MAIN = """
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlmodel import SQLModel

from app.main import install

from . import projects


@asynccontextmanager
async def lifespan(app):
    async with service.database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
service = install(app)
app.include_router(projects.router)
"""


@dataclass(frozen=True)
class Shop:
    """An application: changes of the example's source, each an old and a new text."""

    name: str
    changes: tuple[tuple[str, str], ...]
    sync: bool = False

    def write(self, folder: Path) -> None:
        """Write the package."""
        package = folder / self.name
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "adapter.py").write_text(ADAPTER.format(name=self.name))
        source, module = self._source()
        for old, new in self.changes:
            assert source.count(old) == 1, f"{self.name}: {old!r} is {source.count(old)} times in the example"
            source = source.replace(old, new)
        (package / module).write_text(source)
        if not self.sync:
            (package / "main.py").write_text(MAIN)

    def _source(self) -> tuple[str, str]:
        projects = (ROOT / "examples" / "projects.py").read_text()
        for table in ("Project", "StoredFile"):
            old = f"class {table}(SQLModel, table=True):\n"
            projects = projects.replace(old, f'{old}    __tablename__ = "{table.lower()}_{self.name}"\n')
        if not self.sync:
            return projects, "projects.py"
        own = "from fastapi import Header\nfrom sqlmodel import Field\n\n"
        tables = projects[projects.index("class Project(") : projects.index("router = APIRouter()")]
        sync_app = (ROOT / "examples" / "sync_app.py").read_text()
        imports = "import os\n" + own
        return sync_app.replace("from .projects import Project, User\n", imports + tables), "main.py"


@dataclass
class Verdict:
    """What the conformance test said of one application."""

    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """The reports, by the name of the promise."""


def judge(shops: list[Shop], folder: Path, *more: str) -> dict[str, Verdict]:
    """Run the conformance test on applications; what it said of each."""
    for shop in shops:
        shop.write(folder)
    names = [f"{shop.name}.adapter:{shop.name}" for shop in shops]
    done = conformance(folder, names, *more)
    verdicts = read_report(folder / "report.xml")
    assert len(verdicts) == len(shops), done.stdout + done.stderr
    return verdicts


def conformance(
    folder: Path, adapters: list[str], *more: str, plans: str = PLANS, **environment: str
) -> CompletedProcess[str]:
    """`pytest --billing-conformance` in a folder, with a catalogue of small limits."""
    (folder / "plans.toml").write_text(plans)
    (folder / "pytest.ini").write_text("[pytest]\n")
    given = [f"--billing-adapter={name}" for name in adapters]
    plugins = ["-p", "app.pytest_plugin"]
    plugins += [
        each for name in ("asyncio", "schemathesis", "hypothesispytest") for each in ("-p", f"no:{name}")
    ]
    command = [sys.executable, "-m", "pytest", "--junitxml=report.xml", "-p", "no:cacheprovider", *plugins]
    variables = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    variables |= {"PYTHONPATH": str(ROOT), "PLANS_FILE": str(folder / "plans.toml")}
    return run([*command, "--billing-conformance", *given, *more], cwd=folder, env=variables | environment)


def read_report(path: Path) -> dict[str, Verdict]:
    """By the name of the adapter's class."""
    verdicts: dict[str, Verdict] = {}
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 # pytest has just written it
        adapter = case.get("classname", "").rpartition(":")[2]
        verdict, name = verdicts.setdefault(adapter, Verdict()), case.get("name", "")
        failure = case.find("failure") if case.find("error") is None else case.find("error")
        if failure is not None:
            verdict.broken[name] = failure.text or ""
        elif case.find("skipped") is not None:
            verdict.skipped.append(name)
        else:
            verdict.passed.append(name)
    return verdicts
