"""The conformance test as pytest sees it: each promise is one test."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ...errors import ConfigurationError, ServiceError
from ..adapter import Adapter
from ..trace import place_of
from .broken import BrokenPromise, NotApplicable
from .suite import SCENARIOS, Suite, load_adapter


class Promise(pytest.Item):
    """One promise, in one application."""

    suite: Suite
    adapter: type[Adapter]

    def runtest(self) -> None:
        try:
            self.suite.play(self.adapter, self.name)
        except NotApplicable as none:
            pytest.skip(str(none))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, BrokenPromise):
            return f"{self.promise()}\n\n{excinfo.value}"
        if isinstance(excinfo.value, ServiceError):
            return excinfo.value.detail
        return str(super().repr_failure(excinfo))

    def promise(self) -> str:
        """The promise, in a sentence."""
        return f"Broken: {(SCENARIOS[self.name].__doc__ or '').strip()}"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        place = place_of(self.adapter.create)
        path = Path(place.path) if place else self.path
        return path, place.line - 1 if place else None, f"{self.adapter.__name__}: {self.name}"


class Conformance(pytest.Collector):
    """The promises of one adapter."""

    suite: Suite
    adapter: type[Adapter]

    def collect(self) -> Iterator[pytest.Item]:
        for name in SCENARIOS:
            item = Promise.from_parent(self, name=name)
            item.suite, item.adapter = self.suite, self.adapter
            yield item


def promises(session: pytest.Session, names: Sequence[str], suite: Suite) -> list[pytest.Item]:
    """The tests for these adapters.

    Raises:
        pytest.UsageError: when one cannot be imported.
    """
    items: list[pytest.Item] = []
    for name in names:
        try:
            adapter = load_adapter(name)
        except ConfigurationError as error:
            raise pytest.UsageError(error.detail) from error
        collector = Conformance.from_parent(session, name=name, nodeid=name)
        collector.suite, collector.adapter = suite, adapter
        report = collector.ihook.pytest_make_collect_report(collector=collector)
        collector.ihook.pytest_collectreport(report=report)  # so that pytest counts them
        items += [item for item in report.result if isinstance(item, pytest.Item)]
    return items
