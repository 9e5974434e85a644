"""Settings of outbound webhooks: which stop the start, and that no error quotes a secret or an address."""

from typing import Any

import pytest
from pydantic import ValidationError

from ..client import settings_for
from ..reactions.receiver import NEW_SECRET, OLD_SECRET

URL = "https://api.example.com/hooks"
SECRET = "whsec_YW5vdGhlci1zZWNyZXQtb2YtdGhlLXRlc3RzLTAwMDE="


def settings(urls: str, secrets: str, **more: Any) -> Any:
    return settings_for("sqlite:///x.db", webhook_out_urls=urls, webhook_out_secrets=secrets, **more)


def test_each_address_has_its_secrets_in_order() -> None:
    others = [NEW_SECRET, OLD_SECRET, NEW_SECRET]
    made = settings(f"{URL}, {URL}/2 {URL}/3", f"{others[0]},{others[1]}:{others[2]},{SECRET}").destinations
    found = [(each.url.get_secret_value(), [one.get_secret_value() for one in each.secrets]) for each in made]
    assert found == [(URL, [others[0]]), (f"{URL}/2", others[1:]), (f"{URL}/3", [SECRET])]


def test_without_addresses_nothing_is_sent() -> None:
    assert settings("", "").destinations == ()


@pytest.mark.parametrize(
    ("urls", "secrets", "what"),
    [
        (URL, "", "0 secrets for 1 addresses"),
        ("", SECRET, "1 secrets for 0 addresses"),
        (f"{URL},{URL}", f"{SECRET},{SECRET}", "has an address twice"),
        ("ftp://api.example.com/", SECRET, "no address with https://"),
        ("https:///hooks", SECRET, "no address with https://"),
        ("https://[::1/hooks", SECRET, "no address with https://"),
        ("https://api.example.com:99999/", SECRET, "no address with https://"),
        ("https://ünicode.example.com/", SECRET, "no address with https://"),
        ("https://user:hunter2@api.example.com/", SECRET, "with a user or a fragment"),
        ("http://api.example.com/hooks", SECRET, "an address with http://"),
        (URL, "hunter2", "does not begin with whsec_"),
        (URL, "whsec_hunter2!", "not base64"),
        (URL, "whsec_aHVudGVyMg==", "of 7 bytes"),
        (URL, f"{SECRET}:", "does not begin with whsec_"),
    ],
)
def test_what_cannot_be_used_stops_the_start_and_is_not_quoted(urls: str, secrets: str, what: str) -> None:
    with pytest.raises(ValidationError, match=what) as caught:
        settings(urls, secrets)
    assert "hunter2" not in str(caught.value) and SECRET not in str(caught.value)


def test_plain_http_is_for_private_networks() -> None:
    assert settings("http://10.0.0.7/hooks", SECRET, webhook_out_allow_private=True).destinations
