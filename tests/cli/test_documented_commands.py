"""Each command that the documentation shows is one that the command line takes."""

import re
import shlex
from typing import Any

import pytest
import typer

from app.cli import cli

from ..test_docs import undated

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the command line raises for an option that it does not have, an argument that is missing and so on."""
ROOT_COMMAND = typer.main.get_command(cli)
BLOCK = re.compile(r"^ *```sh[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
MENTION = re.compile(r"`(?:python -m app|subscription-service) ([a-z][^`]*)`")
COMMAND = re.compile(r"(?:python -m app|subscription-service) ([a-z][^\n`]*)")
ENDS = {"|", ">", ">>", "&&", "&", ";"}


def shown_commands() -> list[tuple[str, str]]:
    """Of each page, the commands that stand in a block to be typed."""
    blocks = [(page, block) for page in undated() for block in BLOCK.findall(page.read_text())]
    return [
        (page.name, line) for page, block in blocks for line in COMMAND.findall(block.replace("\\\n", " "))
    ]


def words_of(line: str) -> list[str]:
    """The words of one command, up to a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    return words[: next((at for at, word in enumerate(words) if word in ENDS), len(words))]


def parse(command: Any, words: list[str], name: str = "subscription-service") -> None:
    """What the command line would say of these words, without running the command.

    Raises:
        UsageError: when it would refuse them.
    """
    subcommands = getattr(command, "commands", None)
    if subcommands is None or not words or words[0] not in subcommands:
        command.make_context(name, words)
    if subcommands is not None:
        if words[0] not in subcommands:
            raise UsageError(f"No such command: {words[0]}")
        parse(subcommands[words[0]], words[1:], words[0])


def test_every_command_of_a_block_can_be_typed_as_it_stands() -> None:
    shown = shown_commands()
    assert len(shown) > 25
    refused = []
    for page, line in shown:
        try:
            parse(ROOT_COMMAND, words_of(line))
        except UsageError as error:
            refused.append(f"{page}: {line}: {error}")
    assert refused == []


def options_of(line: str) -> tuple[set[str], set[str]]:
    """The options that a mention has, and those that its command takes."""
    words = line.split()
    command: Any = ROOT_COMMAND
    while words and (subcommands := getattr(command, "commands", None)):
        command = subcommands[words.pop(0)]
    named = {word.rstrip(",.:").partition("=")[0] for word in words if word.startswith("-")}
    return named, {option for parameter in command.params for option in parameter.opts}


def test_every_command_within_a_sentence_is_there_with_its_options() -> None:
    mentions = [(page.name, line) for page in undated() for line in MENTION.findall(page.read_text())]
    assert len(mentions) > 40
    wrong = []
    for page, line in mentions:
        try:
            named, taken = options_of(line.replace("\n", " "))
        except KeyError as missing:
            wrong.append(f"{page}: {line}: no command {missing}")
        else:
            wrong += [f"{page}: {line}: no option {option}" for option in named - taken]
    assert wrong == []


@pytest.mark.parametrize("line", ["plans check", "doctor --urls x", "stripe set-up", "nothing"])
def test_a_command_that_is_not_there_or_lacks_an_argument_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        parse(ROOT_COMMAND, words_of(line))
