"""Read the settings, and say what is wrong with them."""

import secrets
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..api_keys import new_key
from ..errors import ConfigurationError
from .remedies import REMEDIES
from .settings import SIGNING_SECRET_PREFIX, Settings

TOGETHER = {"webhook_out_urls", "webhook_out_secrets", "webhook_out_allow_private"}
"""Settings that are replaced together: when one is wrong, the others are unusable."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting, named as in the environment, that is missing or wrong; never its value."""

    setting: str
    what: str
    remedy: str


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: naming each variable that is missing or wrong, and what to set.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def examine_settings() -> tuple[Settings, list[Problem]]:
    """The settings, and what is wrong with them. A usable value replaces each wrong one."""
    try:
        return _examine()
    except (OSError, UnicodeDecodeError):
        settings, problems = _examine(_env_file=None)
        unreadable = Problem(
            ".env", "cannot be read as UTF-8 text", "save it as UTF-8, readable by this user"
        )
        return settings, [unreadable, *problems]


def _examine(**sources: Any) -> tuple[Settings, list[Problem]]:
    try:
        return Settings(**sources), []
    except ValidationError as error:
        problems = _problems(error)
    wrong = {problem.setting.lower() for problem in problems}
    if not wrong.isdisjoint(TOGETHER):
        wrong |= TOGETHER
    stand_ins = {name: _stand_in(name) for name in wrong}
    return Settings(**sources, **stand_ins), problems


def _stand_in(name: str) -> Any:
    """A usable value: random where there must be one, so that nobody can know it."""
    if name == "stripe_webhook_secret":
        return f"{SIGNING_SECRET_PREFIX}{secrets.token_hex(24)}"
    return new_key() if name == "internal_api_key" else Settings.model_fields[name].default


def _problems(error: ValidationError) -> list[Problem]:
    found = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0])
        missing = problem["type"] == "missing"
        what = "is missing" if missing else problem["msg"].removeprefix("Value error, ")
        found.append(Problem(name.upper(), what, REMEDIES.get(name, "see docs/reference/settings.md")))
    return found


def _explain(error: ValidationError) -> str:
    lines = [f"  {found.setting} {found.what}: {found.remedy}." for found in _problems(error)]
    return "\n".join(["The service cannot start:", *lines])
