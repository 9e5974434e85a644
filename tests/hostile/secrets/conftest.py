"""Databases and outputs with marks."""

from collections.abc import Iterator

import pytest

from app.signals import event_signal

from .helpers import raising


@pytest.fixture(autouse=True)
def receiver() -> Iterator[None]:
    signal = event_signal("customer.updated")
    signal.connect(raising)
    yield
    signal.disconnect(raising)
