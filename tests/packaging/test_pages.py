"""The README and the tutorials, typed from the first line to the last with the wheel alone."""

import resource
import shutil
from pathlib import Path

import pytest

from .. import ROOT
from .pages import matches, reading

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]

MACHINE_SECONDS = 120
"""Of processor time, from the first command to the first denial and the end of the page."""


@pytest.mark.parametrize(
    ("page", "outputs"),
    [
        ("README.md", 1),
        ("docs/tutorials/first-afternoon.md", 5),
        ("docs/tutorials/existing-subscribers.md", 3),
        ("docs/tutorials/organisations.md", 1),
    ],
)
def test_a_page_shows_what_happens_when_it_is_typed(
    page: str, outputs: int, wheel: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    shutil.copy(wheel, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with reading(folder, home, wheelhouse) as reader:
        assert reader.follow(ROOT / page) == outputs
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MACHINE_SECONDS


def test_an_output_is_compared_with_all_that_was_shown() -> None:
    assert matches("a …\nc\n", "a b\n\nc  \n")
    assert not matches("a …", "b")
    assert not matches("a", "a\nand more")
