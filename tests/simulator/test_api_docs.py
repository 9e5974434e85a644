"""What docs/simulator.md shows, runs; what it lists, is there."""

import re
import subprocess
import sys
from typing import get_args

import pytest

from app.simulator import Account
from app.simulator.api import ROUTES, FaultKind

from .. import ROOT
from ..waiting import LONGEST_SECONDS

DOCUMENT = (ROOT / "docs" / "simulator.md").read_text()


@pytest.mark.long
def test_the_python_examples_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(examples) == 4
    for example in examples:  # in a process of its own: an example does not show how to close the client
        subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True, timeout=LONGEST_SECONDS)


def test_the_prices_of_a_new_account_are_documented_with_their_amounts() -> None:
    told = re.findall(r"`(price_\w+)`\s\((\d+)\.00 (?:USD )?a\s(\w+)\)", DOCUMENT)
    prices = Account().prices.values()
    assert sorted((id, int(amount) * 100, interval) for id, amount, interval in told) == sorted(
        (price.id, price.unit_amount, price.interval) for price in prices
    )


def test_every_route_and_every_fault_is_documented() -> None:
    nouns = {re.sub(r"/(\{id\}|search).*", "", path.removeprefix("/v1/")) for _, path in ROUTES}
    assert [noun for noun in nouns if f"`{noun}`" not in DOCUMENT] == []
    assert [kind for kind in get_args(FaultKind) if f"`{kind}`" not in DOCUMENT] == []
