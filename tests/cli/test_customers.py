"""`customers link`: many links from a file, and what is listed for somebody to look at."""

from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.operations.bulk_links import Link, read_links

from ..client import Client
from ..inbox.stories import Story
from .shell import Shell

pytestmark = pytest.mark.postgresql_in_long


def write(content: str) -> str:
    Path("links.csv").write_text(content, encoding="utf-8")
    return "links.csv"


def send(shell: Shell, *stories: Story) -> None:
    async def deliver(client: Client) -> None:
        for story in stories:
            for event in story.events:
                await client.send(event)

    shell.served(deliver)


def test_a_file_links_its_customers_and_what_stays_or_is_unknown_is_listed(shell: Shell) -> None:
    first, second = Story("one"), Story("two")
    first.subscription("A")
    first.subscription("B", metadata={"user_id": "org"})
    second.subscription("A")
    send(shell, first, second)
    path = write(
        "\ufeffcustomer_id,user_id\r\ncus_one, ada\r\n\r\ncus_two,bob\r\ncus_no,eve\r\ncus_two,bob\r\n"
    )
    for _ in range(2):  # run again, it says the same
        result = shell("customers", "link", path, "--json")
        assert result.exit_code == 1
        assert shell.json("customers", "link", path) == {
            "linked": 2,
            "unknown": ["cus_no"],
            "stays": [{"customer_id": "cus_one", "subscription_id": "subB_one", "user_id": "org"}],
        }
    shown = shell.json("users", "show", "ada")
    assert [each["subscription_id"] for each in shown["subscriptions"]] == ["subA_one"]
    text = shell("customers", "link", path).stdout
    assert "Customers linked: 2" in text
    assert "subB_one" in text
    assert "cus_no" in text


def test_a_file_whose_links_are_all_made_is_fine(shell: Shell) -> None:
    story = Story("fine")
    story.subscription("A")
    send(shell, story)
    result = shell("customers", "link", write("cus_fine,ada\n"))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Customers linked: 1.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cus_1,ada\ncus_2\n", "Line 2"),
        ("cus_1,ada,more\n", "Line 1"),
        ("cus_1,\n", "Line 1"),
        (",ada\n", "Line 1"),
        ("cus_1,a\u0000\n", "Line 1"),
        (f"cus_1,{'x' * 256}\n", "Line 1"),
        ("cus_1,ada\ncus_1,bob\n", "Line 2 links cus_1 to a second user"),
        ('cus_1,"ada\n', "Line 1 is no CSV"),
        ("cus_1,ada\ncustomer_id,user_id,\n", "Line 2"),
    ],
)
@pytest.mark.rest_in_long(4)
def test_a_file_with_a_line_that_is_no_link_links_nothing(shell: Shell, content: str, said: str) -> None:
    story = Story("1")
    story.subscription("A")
    send(shell, story)
    result = shell("customers", "link", write(content))
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Nothing was linked" in result.stderr
    assert shell.json("users", "show", "cus_1")["user_id"] is None


def test_what_is_no_text_or_no_file_is_said(shell: Shell) -> None:
    Path("links.csv").write_bytes(b"cus_1,\xff\xfe\n")
    for path in ("links.csv", "missing.csv", "."):
        result = shell("customers", "link", path)
        assert result.exit_code == 1
        assert f"{path} cannot be read as UTF-8 text" in result.stderr


def test_lines_are_read_with_or_without_a_header_and_a_quoted_id_may_hold_a_comma() -> None:
    assert read_links(["customer_id,user_id\n", '"cus_1","a,b"\n']) == [Link("cus_1", "a,b")]
    assert read_links(["cus_1,ada\n", "cus_1,ada\n"]) == [Link("cus_1", "ada")]
    assert read_links([]) == []
    with pytest.raises(InvalidRequest, match="Line 1"):
        read_links(["one cell\n"])
