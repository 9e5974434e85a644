"""What is bought once: credits (`[credits.top_up_100]`), and plans with `once`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .values import read_amount

ClawBack = Literal["proportional", "none"]
MAX_EXPIRES_DAYS = 36_500
MAX_PRIORITY = 1_000_000
MAX_AMOUNT_ONCE = 2**53 - 1
"""The most that a pack of credits gives of a feature."""


@dataclass(frozen=True, slots=True)
class Once:
    """What a refund and a lost dispute take back of what was bought once.

    `proportional`: the share of the money that went back. A plan ends when all of it went back.
    """

    refund: ClawBack = "proportional"
    dispute: ClawBack = "proportional"


@dataclass(frozen=True, slots=True)
class Credits:
    """A pack that is bought once: amounts of consumables and of allocated features."""

    id: str
    prices: tuple[str, ...]
    amounts: Mapping[str, int]
    lookup_keys: tuple[str, ...] = ()
    once: Once = Once()
    name: str | None = None
    description: str | None = None
    sold: bool = True
    expires_days: int | None = None
    """How many days after the payment what is left expires; None: never."""
    priority: int = 0
    """The credits with the lowest number are drawn down first."""

    @property
    def offer(self) -> str:
        return f"credits.{self.id}"


def read_pack(raw: object) -> int:
    """How much a pack of credits gives of a feature: a whole number, or a size such as "10 GiB".

    Raises:
        ValueError: saying what is wrong and what to write.
    """
    amount = read_amount(raw)
    if amount is None or not 1 <= amount <= MAX_AMOUNT_ONCE:
        raise ValueError(f"must lie between 1 and {MAX_AMOUNT_ONCE}: correct it")
    return amount


class OnceTable(BaseModel):
    """`once = true`, or a table with what a refund and a lost dispute take back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    refund: ClawBack = "proportional"
    dispute: ClawBack = "proportional"

    @model_validator(mode="before")
    @classmethod
    def wrap(cls, raw: Any) -> Any:
        return {} if raw is True else raw

    def read(self) -> Once:
        return Once(self.refund, self.dispute)


class CreditsTable(BaseModel):
    """A pack of credits: the keys below, and every other key a feature and its amount."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Any]

    prices: list[Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]] = []
    lookup_keys: list[Annotated[str, Field(min_length=1, max_length=200)]] = []
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    sold: bool = True
    refund: ClawBack = "proportional"
    dispute: ClawBack = "proportional"
    expires_days: Annotated[int, Field(ge=1, le=MAX_EXPIRES_DAYS)] | None = None
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0

    @property
    def amounts(self) -> dict[str, Any]:
        return self.__pydantic_extra__

    def read(self, id: str, amounts: Mapping[str, int]) -> Credits:
        return Credits(
            id=id,
            prices=tuple(self.prices),
            amounts=amounts,
            lookup_keys=tuple(self.lookup_keys),
            once=Once(self.refund, self.dispute),
            name=self.name,
            description=self.description,
            sold=self.sold,
            expires_days=self.expires_days,
            priority=self.priority,
        )
