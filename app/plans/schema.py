"""The shape of `plans.toml`, table by table. What holds between tables is checked in `file`."""

import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    field_validator,
    model_validator,
)

from .access import DAY, DEFAULT_POLICY, AccessPolicy, AccessRule, CollectionPolicy, Level, PausedPolicy
from .catalogue import Anchor, ChangePolicy, Kind, Reset, When
from .credits import CreditsTable, OnceTable

MAX_GRACE_DAYS = 36_500
MAX_TRIAL_DAYS = 730
"""Stripe's own bound ("Create a Checkout Session", `subscription_data.trial_period_days`)."""
MAX_QUANTITY = 999_999
"""The most that Stripe's checkout takes of one line."""
MAX_ORDER = 1_000_000
MAX_NAME_LENGTH = 250
MAX_DESCRIPTION_LENGTH = 1_000

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
"""Keys of features and ids of plans stand in the paths of the internal API."""
Price = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
LookupKey = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""As long as Stripe lets them be."""


PRICE_KEYS = {"prices": "prices", "lookup_keys": "lookup keys", "products": "products"}
"""The keys of a table that say which Stripe prices buy it, and what each lists."""
RESERVED_KEYS = {key: f"its Stripe {noun}" for key, noun in PRICE_KEYS.items()} | {
    "unsold_prices": "its prices that are no longer sold",
    "name": "its name",
    "description": "its description",
    "sold": "whether it is sold",
    "order": "its place on a pricing page",
    "min_quantity": "its least quantity",
    "max_quantity": "its greatest quantity",
    "trial_days": "its trial",
    "trial": "its limits in a trial",
    "price": "its prices with their amounts",
    "once": "its being bought once",
}
"""The keys of a plan that are no features, and what each says of it."""


def _feature_key(key: str) -> str:
    if key in RESERVED_KEYS:
        raise ValueError(f"`{key}` is the key of a plan for {RESERVED_KEYS[key]}: name the feature otherwise")
    return key


def _text_for_people(text: str, most: int) -> str:
    """One line: a line break within it is a space."""
    line = " ".join(text.split("\n")).strip()
    if not line:
        raise ValueError("is empty: write a text for people, or remove the key")
    if len(line) > most:
        raise ValueError(f"is longer than {most} characters: shorten it")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise ValueError("has a control character: remove it")
    return line


Name = Annotated[str, AfterValidator(lambda text: _text_for_people(text, MAX_NAME_LENGTH))]
Description = Annotated[str, AfterValidator(lambda text: _text_for_people(text, MAX_DESCRIPTION_LENGTH))]
Order = Annotated[int, Field(ge=0, le=MAX_ORDER)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
TrialDays = Annotated[int, Field(ge=1, le=MAX_TRIAL_DAYS)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FeatureTable(_Table):
    kind: Kind
    reset: Reset | None = None
    anchor: Anchor | None = None
    name: Name | None = None
    description: Description | None = None
    unit: Name | None = None
    order: Order | None = None

    @model_validator(mode="after")
    def consumables_reset(self) -> "FeatureTable":
        if self.kind == "consumable" and self.reset is None:
            raise ValueError("a consumable needs a reset: add one of period, day, month, year")
        if self.kind != "consumable" and self.reset is not None:
            raise ValueError(
                f"only a consumable resets, this is {self.kind}: remove reset or change the kind"
            )
        if self.anchor is not None and self.reset != "month":
            raise ValueError('anchor = "billing" goes with reset = "month": write that, or remove anchor')
        return self


class LimitTable(_Table):
    """A limit, written alone (`projects = 10`) or with options (`projects = { limit = 10, soft = true }`)."""

    limit: Any
    per_unit: bool = False
    soft: bool = False
    warn_at: list[float] = []

    @model_validator(mode="before")
    @classmethod
    def wrap(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return {"limit": raw}
        if "reset" in raw:
            raise ValueError("a feature has one reset period: set it in [features] and remove it here")
        return raw

    @field_validator("warn_at")
    @classmethod
    def shares(cls, shares: list[float]) -> list[float]:
        if not all(0 < share <= 1 for share in shares):
            raise ValueError(
                "takes shares of the limit above 0 and up to 1, such as [0.8, 1.0]: correct them"
            )
        return shares


class PriceTable(_Table):
    """A price with its amount, by which `plans push` creates it. It is found by its lookup key."""

    lookup_key: LookupKey
    amount: Annotated[int, Field(ge=0, le=99_999_999)]
    """Minor currency units; the most that Stripe takes ("Create a price")."""
    currency: Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
    interval: Literal["day", "week", "month", "year"]
    interval_count: Annotated[int, Field(ge=1, le=1095)] = 1


class OfferTable(BaseModel):
    """A plan or an add-on: the keys below, which are the `RESERVED_KEYS`, and every other key a feature."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, LimitTable]

    prices: list[Price] = []
    lookup_keys: list[LookupKey] = []
    products: list[Price] = []
    unsold_prices: list[Price] = []
    price: list[PriceTable] = []
    name: Name | None = None
    description: Description | None = None
    sold: bool = True
    order: Order | None = None
    min_quantity: Quantity | None = None
    max_quantity: Quantity | None = None
    trial_days: TrialDays | None = None
    trial: dict[Key, LimitTable] = {}
    once: OnceTable | None = None

    @property
    def limits(self) -> dict[str, LimitTable]:
        return self.__pydantic_extra__

    @property
    def all_lookup_keys(self) -> list[str]:
        """Those that are listed, and those of prices with amounts."""
        return [*self.lookup_keys, *(each.lookup_key for each in self.price)]

    def written_limits(self) -> Iterator[tuple[str, str, LimitTable]]:
        """Every limit: the key that it stands under, its feature, and the limit itself."""
        yield from ((feature, feature, limit) for feature, limit in self.limits.items())
        yield from ((f"trial.{feature}", feature, limit) for feature, limit in self.trial.items())


def _rule(*allowed: Level) -> PlainValidator:
    """A rule of the access policy: "full", "limited", "none" or { grace_days = 7 }, as far as allowed."""
    alone: dict[object, AccessRule] = {each: AccessRule(each) for each in allowed if each != "grace"}

    def read(raw: object) -> AccessRule:
        if isinstance(raw, str) and raw in alone:
            return alone[raw]
        if "grace" in allowed and isinstance(raw, dict) and raw.keys() == {"grace_days"}:
            return AccessRule("grace", _grace_days(raw["grace_days"]) * DAY)
        shown = ["{ grace_days = 7 }" if level == "grace" else f'"{level}"' for level in allowed]
        raise ValueError(f"write {' or '.join(shown)}")

    return PlainValidator(read)


def _grace_days(days: object) -> int:
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= MAX_GRACE_DAYS:
        raise ValueError(f"grace_days takes a whole number from 0 to {MAX_GRACE_DAYS}: correct it")
    return days


# Grace begins with an unpaid invoice or with the end of a subscription; no other status has such a moment.
Switch = Annotated[AccessRule, _rule("full", "none")]
Trialing = Annotated[AccessRule, _rule("full", "limited", "none")]
Graceful = Annotated[AccessRule, _rule("full", "none", "grace")]
Ended = Annotated[AccessRule, _rule("none", "grace")]
DEFAULTS = DEFAULT_POLICY
DEFAULT_CHANGES = ChangePolicy()


class _ByCause(_Table):
    """A rule for all causes, written alone (`paused = "none"`), or a table with one for each."""

    @model_validator(mode="before")
    @classmethod
    def wrap(cls, raw: Any) -> Any:
        return raw if isinstance(raw, dict) else dict.fromkeys(cls.model_fields, raw)


PAUSED = DEFAULTS.paused
COLLECTION = DEFAULTS.pause_collection


class PausedTable(_ByCause):
    payment_failed: Switch = PAUSED.payment_failed
    trial_ended: Switch = PAUSED.trial_ended
    requested: Switch = PAUSED.requested
    system: Switch = PAUSED.system
    unknown: Switch = PAUSED.unknown

    def policy(self) -> PausedPolicy:
        return PausedPolicy(**dict(self))


class CollectionTable(_ByCause):
    keep_as_draft: Switch = COLLECTION.keep_as_draft
    mark_uncollectible: Switch = COLLECTION.mark_uncollectible
    void: Switch = COLLECTION.void

    def policy(self) -> CollectionPolicy:
        return CollectionPolicy(**dict(self))


BY_CAUSE: dict[str, type[BaseModel]] = {"paused": PausedTable, "pause_collection": CollectionTable}


class AccessTable(_Table):
    active: Switch = DEFAULTS.active
    trialing: Trialing = DEFAULTS.trialing
    past_due: Graceful = DEFAULTS.past_due
    unpaid: Graceful = DEFAULTS.unpaid
    paused: PausedTable = Field(default_factory=PausedTable)
    incomplete: Graceful = DEFAULTS.incomplete
    incomplete_expired: Ended = DEFAULTS.incomplete_expired
    canceled: Ended = DEFAULTS.canceled
    never_paid: Graceful = DEFAULTS.never_paid
    pause_collection: CollectionTable = Field(default_factory=CollectionTable)
    expired_active: Graceful = DEFAULTS.expired_active

    def policy(self) -> AccessPolicy:
        return AccessPolicy(
            **dict(self)
            | {"paused": self.paused.policy(), "pause_collection": self.pause_collection.policy()}
        )


class IgnoredTable(_Table):
    """Prices that grant nothing on purpose."""

    prices: list[Price] = []
    lookup_keys: list[LookupKey] = []
    products: list[Price] = []


class OverLimitTable(_Table):
    days: Annotated[int, Field(ge=0, le=MAX_GRACE_DAYS)] | None = None


class ChangesTable(_Table):
    upgrade: When = DEFAULT_CHANGES.upgrade
    downgrade: When = DEFAULT_CHANGES.downgrade


class CatalogueFile(_Table):
    default_plan: str | None = None
    features: dict[Annotated[Key, AfterValidator(_feature_key)], FeatureTable]
    plans: dict[Key, OfferTable]
    addons: dict[Key, OfferTable] = {}
    credits: dict[Key, CreditsTable] = {}
    ignored: IgnoredTable = Field(default_factory=IgnoredTable)
    access: AccessTable = Field(default_factory=AccessTable)
    over_limit: OverLimitTable = Field(default_factory=OverLimitTable)
    changes: ChangesTable = Field(default_factory=ChangesTable)
