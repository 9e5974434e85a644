"""Which stored rows do not follow today's rules: a process of another release wrote or changed them."""

from sqlalchemy import ColumnElement, exists, or_, select
from sqlmodel import col

from .models import RULES_VERSION, Customer, Invoice, Subscription

RuledModel = type[Subscription] | type[Customer] | type[Invoice]
RULED_MODELS: tuple[RuledModel, ...] = (Customer, Subscription, Invoice)
"""In the order in which the backfill reapplies their rows. Customers come first: an older release kept with
them what their subscriptions and sessions say of the user."""


def is_outdated(model: RuledModel) -> ColumnElement[bool]:
    """The condition on rows that do not follow today's rules (`follows_rules` says the same of one row)."""
    return or_(
        col(model.rules_version).is_(None),
        col(model.rules_version) != RULES_VERSION,
        col(model.rules_row_version) != col(model.version),
    )


ANY_OUTDATED = select(or_(*(exists().where(is_outdated(model)) for model in RULED_MODELS)))
"""Whether there is any such row. Each process asks this when it starts, and then it rarely finds one."""
