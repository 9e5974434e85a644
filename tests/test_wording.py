"""Plain technical English: short sentences for newcomers, and none of the phrases that we replaced."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import ROOT

REPLACED = {
    r"wants? a hand|needs? a hand": "needs attention",
    r"\bmend(s|ed|ing)?\b": "fix, correct",
    r"\b(comes?|came) to (its|their) end\b": "finishes",
    r"\b(gives?|gave|given|giving) back\b": "releases",
    r"\b(is|are|was|were|be|been|being) told\b|\btold once\b|\bnobody is told\b": "is notified, is announced",
    r"\bstarts? anew\b|\banew\b": "resets, again",
    r"\b(lies|lie|lay|laid) over\b": "overrides",
    r"\b(un)?settle[sd]?\b": "finish, resolve, determine",
    r"\breadings\b|\b[Aa] reading\b": "fetched state",
    r"\bnever heard of\b": "unknown",
    r"\bStripe's next word\b": "a newer snapshot",
    r"\bwhat no single event says\b": "periodic alerts",
    r"\bwhat runs in one process at a time\b": "leases",
    r"\bit ends in an outcome\b": "returns the outcome",
    r"\bof_nobody\b|\blies_over\b": "default_entitlements, overrides",
    r"\bTold\b|\bpatience\b": "on_progress, seconds",
}
"""Phrases that a reader must decode, and what to write instead. Names are read as words where there is no
underscore in the phrase."""
OLD_MODULES = {
    "applying",
    "deeds",
    "figures",
    "listings",
    "people",
    "readings",
    "retries",
    "shield",
    "standing",
    "story",
    "tasks",
    "watch",
    "wording",
}
LONGEST_SENTENCE = 30
FOR_NEWCOMERS = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
NO_PROSE = {".lock", ".png", ".svg", ".json"}


def texts() -> Iterator[tuple[str, str]]:
    """Every file of prose or code under version control, by its path."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix not in NO_PROSE and path != Path(__file__) and path.is_file():
            yield name, path.read_text(errors="replace")


def test_no_file_has_a_phrase_that_was_replaced() -> None:
    found = []
    for name, text in texts():
        words = names_as_words(text)
        for pattern, instead in REPLACED.items():
            read = text if "_" in pattern else words
            for match in re.finditer(pattern, read):
                line = read.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: “{match[0]}”: write {instead}")
    assert found == []


def names_as_words(text: str) -> str:
    """The text with the words of each name apart, and without indexes: only a migration renames those."""
    return re.sub(r"\bix_\w+", "", text).replace("_", " ")


def test_no_module_has_a_name_that_was_replaced() -> None:
    assert [path for path in (ROOT / "app").rglob("*.py") if path.stem in OLD_MODULES] == []


def sentences(text: str) -> list[str]:
    """The sentences of a page: without code, tables, links' addresses and headings."""
    text = re.sub(r"^```.*?^```$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\||#|!\[).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"`[^`]*`", "code", text).replace("*", "")
    paragraphs = re.split(r"\n\s*\n|\n(?=- |\d+\. )", text)
    return [
        each for part in paragraphs for each in re.split(r"(?<=[.!?:])\s+", " ".join(part.split())) if each
    ]


@pytest.mark.parametrize("page", FOR_NEWCOMERS, ids=lambda page: str(page.name))
def test_no_sentence_for_newcomers_is_longer_than_thirty_words(page: Path) -> None:
    found = sentences(page.read_text())
    assert len(found) > 10
    assert [each for each in found if len(each.split()) > LONGEST_SENTENCE] == []


def test_a_long_sentence_is_found() -> None:
    text = "Short one. " + "word " * 31 + "end.\n\n```\n" + "code " * 50 + "\n```\n"
    assert [len(each.split()) > LONGEST_SENTENCE for each in sentences(text)] == [False, True]
