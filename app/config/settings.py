"""Every setting, with its default and its checks."""

from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .. import ROOT
from ..api_keys import PLACEHOLDER, ApiKey, read_key
from . import webhook_destinations

SIGNING_SECRET_PREFIX = "whsec_"
MIN_SIGNING_SECRET = 16
"""Characters after the prefix; Stripe's have 32 or more."""
MAX_METADATA_KEY = 40
"""Characters ("Metadata" in Stripe's API reference), without square brackets."""

OPTIONAL = ("livemode", "spool_dir", "stripe_api_key", "stripe_account", "stripe_api_base", "reconcile_hour")

Names = Annotated[tuple[str, ...], NoDecode]
Origins = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


IN_PACKAGE = ROOT / "plans.toml"
SHIPPED_PLANS = IN_PACKAGE if IN_PACKAGE.is_file() else ROOT.parent / "plans.toml"
"""The default catalogue: inside the installed package, beside the folder in the repository."""
DEFAULT_DATABASE_URL = "sqlite:///var/app.db"


class DatabaseSettings(BaseSettings):
    """What migrations need to know."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    database_url: str = DEFAULT_DATABASE_URL
    """`postgresql://user:password@host/name`. `?sslmode=require` and `postgres://` work too. Behind pgbouncer
    in transaction mode add `?pgbouncer=true`; ports 6432 and 6543 imply it."""

    @field_validator("database_url", mode="before")
    @classmethod
    def empty_is_sqlite(cls, value: object) -> object:
        return value or DEFAULT_DATABASE_URL


class Settings(DatabaseSettings):
    """Every setting, named as in the environment (there in capitals)."""

    stripe_webhook_secret: Secrets
    """The endpoint's signing secret (`whsec_…`). Several are separated by commas while you rotate one."""

    internal_api_key: Secrets
    """The key of the internal API, 128 bits or more: `python -m app keys new` makes one. Or `sha256:<hex>` of
    it. A name for the audit trail goes in front: `billing-page=sha256:…`. Several are separated by commas."""

    internal_api_read_key: Secrets = ()
    """Keys that may only read (`GET`), in the same form."""

    livemode: bool | None = None
    """`true` or `false`: which of Stripe's modes counts. Events of the other mode are stored and ignored.
    Unset accepts both, for development."""

    plans_file: Path = SHIPPED_PLANS
    """The plan catalogue in TOML: features, plans, add-ons, access policy."""

    spool_dir: Path | None = Path("var/spool")
    """The folder where events wait while the database cannot take them. Empty switches the spool off."""

    event_retention_days: int = Field(default=90, ge=0)
    """Processed events are deleted after this many days, at least 30, except those that the ordering rule
    needs. 0 keeps all."""

    audit_retention_days: int = Field(default=400, ge=0)
    """Entries of the audit trail are deleted after this many days. 0 keeps all."""

    usage_retention_days: int = Field(default=400, ge=0)
    """The usage of a closed period is deleted this many days after the period's end. 0 keeps all."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """A larger body, in bytes, is answered with 413; at the webhook and at the internal API."""

    api_docs: bool = False
    """`true` serves `/docs`, `/redoc` and `/openapi.json`. `make run` sets it."""

    stripe_api_key: SecretStr | None = None
    """A secret or restricted key (`sk_…`, `rk_…`) for checkout, portal, changes, catch-up and reconcile.
    Everything else works without it."""

    stripe_account: str | None = Field(default=None, pattern="^acct_")
    """The id (`acct_…`) of the account whose events count. Unset, it is learned with STRIPE_API_KEY. Set it
    where an endpoint of an organization or of Connect sends events of several accounts and no key is set."""

    stripe_api_base: str | None = None
    """Another address than Stripe's, such as the simulator's API."""

    stripe_portal_configuration: str | None = Field(default=None, pattern="^bpc_")
    """The configuration of the customer portal (`bpc_…`), as `stripe portal --apply` prints it. Unset, the
    account's default one is used."""

    allowed_return_origins: Origins = ()
    """Origins to which checkout and portal may send people back, separated by commas:
    `https://app.example.com`."""

    catch_up_minutes: float = Field(default=15, ge=0)
    """How often, in minutes, the service asks Stripe for events that never arrived. 0 is never. Needs
    STRIPE_API_KEY."""

    reconcile_hour: int | None = Field(default=None, ge=0, le=23)
    """The hour (0 to 23, UTC) at which all records are compared with Stripe and repaired. Unset is never."""

    notify_urls: Secrets = ()
    """Where messages to people go: addresses of the library apprise, separated by commas or spaces, such as
    `mailto://user:password@host` or `slack://…`."""

    webhook_out_urls: webhook_destinations.Urls = ()
    """Where other services take outbound webhooks: `https://…` addresses, separated by commas."""

    webhook_out_secrets: webhook_destinations.Secrets = ()
    """The signing secret of each address of WEBHOOK_OUT_URLS, in the same order, separated by commas:
    `whsec_…`, as `python -m app webhooks-out secret` makes one. While you rotate one: `new:old`."""

    webhook_out_allow_private: webhook_destinations.AllowPrivate = False
    """`true` sends outbound webhooks also to private addresses and to `http://`: for receivers in your own
    network. Else a name that has any address that is not public is refused."""

    receivers: Names = ()
    """Modules that connect your application's receivers, separated by commas: `shop.billing_receivers`. The
    worker and the commands import them."""

    link_metadata_keys: Names = ("user_id",)
    """The metadata keys at Stripe that name your user, separated by commas. The first key that is present
    counts. Objects that this service creates carry the first."""

    silence_hours: float = Field(default=0, ge=0, le=24 * 365)
    """After this many hours without an event a message is sent. 0 is never."""

    @field_validator("allowed_return_origins", mode="before")
    @classmethod
    def split_origins(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("allowed_return_origins")
    @classmethod
    def origins_have_no_path(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("https", "http") or not parts.netloc or origin != _origin(parts):
                raise ValueError("holds what is no origin")
        return value

    @field_validator("stripe_api_key")
    @classmethod
    def is_a_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("sk_", "rk_")):
            raise ValueError("does not begin with sk_ or rk_")
        if value is not None and PLACEHOLDER.search(value.get_secret_value().lower()):
            raise ValueError("is a placeholder")
        return value

    @field_validator("link_metadata_keys")
    @classmethod
    def keys_are_stripes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(len(key) <= MAX_METADATA_KEY and not set("[]") & set(key) for key in value):
            raise ValueError("holds no key, or one that Stripe does not take")
        return value

    @field_validator("notify_urls", "receivers", "link_metadata_keys", mode="before")
    @classmethod
    def split_addresses(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    admin_username: str = ""
    """Who may log in at `/admin`. Unset, together with the hash, means that there is no admin screen."""

    admin_password_hash: SecretStr = Field(default=SecretStr(""), validate_default=True)
    """The argon2 hash that `python -m app admin password` prints. Put it in single quotes in a shell."""

    @field_validator("admin_password_hash")
    @classmethod
    def argon2_and_not_alone(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(value.get_secret_value()) != bool(info.data.get("admin_username")):
            raise ValueError("and ADMIN_USERNAME go together, and only one of them is set")
        if value.get_secret_value() and not value.get_secret_value().startswith("$argon2"):
            raise ValueError("is no argon2 hash (a shell replaces $… in double quotes)")
        return value

    @field_validator("stripe_webhook_secret", "internal_api_key", "internal_api_read_key", mode="before")
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

    @field_validator("stripe_webhook_secret")
    @classmethod
    def signing_secrets_are_stripes(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            check_signing_secret(secret.get_secret_value())
        return value

    @field_validator("internal_api_key", "internal_api_read_key")
    @classmethod
    def keys_are_strong(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            read_key(key.get_secret_value())
        return value

    @cached_property
    def api_keys(self) -> tuple[ApiKey, ...]:
        """The keys of the internal API, those that may only read included."""
        full = [read_key(key.get_secret_value()) for key in self.internal_api_key]
        reading = [read_key(key.get_secret_value(), read_only=True) for key in self.internal_api_read_key]
        return (*full, *reading)

    @property
    def destinations(self) -> tuple[webhook_destinations.Destination, ...]:
        """Where outbound webhooks go."""
        return webhook_destinations.destinations(self.webhook_out_urls, self.webhook_out_secrets)

    @property
    def signing_secrets(self) -> list[str]:
        """The secrets themselves."""
        return [secret.get_secret_value() for secret in self.stripe_webhook_secret]

    @field_validator(*OPTIONAL, mode="before")
    @classmethod
    def empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value


def check_signing_secret(text: str) -> None:
    """Refuse what is no signing secret.

    Raises:
        ValueError: saying why, and not the secret.
    """
    if not text.startswith(SIGNING_SECRET_PREFIX):
        raise ValueError(f"does not begin with {SIGNING_SECRET_PREFIX}")
    if len(text) < len(SIGNING_SECRET_PREFIX) + MIN_SIGNING_SECRET or PLACEHOLDER.search(text.lower()):
        raise ValueError("is a placeholder or cut short")


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"
