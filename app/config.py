"""Settings, from the environment or a `.env` file. Unusable ones stop the start and name the remedy."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import ConfigurationError

REMEDIES = {
    "stripe_webhook_secret": (
        "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_…), shown in Stripe's Dashboard "
        "under Developers > Webhooks, or printed by `stripe listen`; several are separated by commas"
    ),
    "internal_api_key": (
        "set INTERNAL_API_KEY to a long random key that your other services send as X-API-Key; "
        "several are separated by commas"
    ),
    "livemode": "set LIVEMODE to true or false, or leave it unset to take both while trying out",
    "admin_password_hash": (
        "set ADMIN_PASSWORD_HASH to what `python -m app admin password` prints, in single quotes; "
        "leave it and ADMIN_USERNAME unset to have no admin screen"
    ),
    "plans_file": "set PLANS_FILE to the path of your plans.toml",
    "database_url": "set DATABASE_URL to postgresql://user:password@host/name, or leave it unset for SQLite",
}

Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


SHIPPED_PLANS = Path(__file__).resolve().parent.parent / "plans.toml"
DEFAULT_DATABASE_URL = "sqlite:///var/app.db"


class DatabaseSettings(BaseSettings):
    """What migrations need to know."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    database_url: str = DEFAULT_DATABASE_URL
    """`postgresql://…` in production; SQLite (a file) when unset."""

    @field_validator("database_url", mode="before")
    @classmethod
    def empty_is_sqlite(cls, value: object) -> object:
        return value or DEFAULT_DATABASE_URL


class Settings(DatabaseSettings):
    """Every setting, named as in the environment (there in capitals)."""

    stripe_webhook_secret: Secrets
    """The endpoint's signing secret; several, separated by commas, while one is rolled."""

    internal_api_key: Secrets
    """The key of the internal API; several, separated by commas, while one is rolled."""

    livemode: bool | None = None
    """Which of Stripe's modes counts: `true`, `false`; unset takes both, for trying out."""

    plans_file: Path = SHIPPED_PLANS
    """The plan catalogue, in TOML; the example that ships with the service when unset."""

    spool_dir: Path | None = Path("var/spool")
    """Where events wait on disk while the database is down; empty switches that off."""

    event_retention_days: int = Field(default=90, ge=0)
    """Processed events are deleted after so many days; 0 keeps all."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """A webhook body over this many bytes is answered with 413."""

    admin_username: str = ""
    """Who may log in at `/admin`; with `admin_password_hash` it switches the admin screen on."""

    admin_password_hash: SecretStr = Field(default=SecretStr(""), validate_default=True)
    """The argon2 hash of that user's password."""

    @field_validator("admin_password_hash")
    @classmethod
    def argon2_and_not_alone(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(value.get_secret_value()) != bool(info.data.get("admin_username")):
            raise ValueError("and ADMIN_USERNAME go together, and only one of them is set")
        if value.get_secret_value() and not value.get_secret_value().startswith("$argon2"):
            raise ValueError("is no argon2 hash (a shell replaces $… in double quotes)")
        return value

    @field_validator("stripe_webhook_secret", "internal_api_key", mode="before")
    @classmethod
    def split_by_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (part.strip() for part in value.split(",")) if part)

    @field_validator("stripe_webhook_secret", "internal_api_key")
    @classmethod
    def at_least_one(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            raise ValueError("is empty")
        return value

    @property
    def signing_secrets(self) -> list[str]:
        """The secrets themselves."""
        return [secret.get_secret_value() for secret in self.stripe_webhook_secret]

    @field_validator("livemode", "spool_dir", mode="before")
    @classmethod
    def empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: naming each variable that is missing or wrong, and what to set.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = ["The service cannot start:"]
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0])
        reason = (
            "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        )
        remedy = REMEDIES.get(name, "see the settings in the README")
        lines.append(f"  {name.upper()} {reason}: {remedy}.")
    return "\n".join(lines)
