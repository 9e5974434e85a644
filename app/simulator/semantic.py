"""Semantic thin events: the business facts in one change of an object, by their names without `v1.`.

The names and when each is sent are those of "Types of events v2" (API version 2026-10-28.endive). No snapshot
event corresponds to them.
"""

from collections.abc import Iterator, Mapping

from .model import Event, Invoice, Item, Line, Price, Record, Subscription

SUBSCRIPTION = "customer.subscription"
STATUSES = ("active", "incomplete", "incomplete_expired", "past_due", "trialing", "unpaid")
"""Those with a thin event of their own; for the other statuses a snapshot type says it."""


def semantic_types(event: Event) -> list[str]:
    """The semantic thin events of one snapshot event, each once, in the order of this module."""
    before, after = event.before, event.after
    if event.type in (f"{SUBSCRIPTION}.created", f"{SUBSCRIPTION}.updated"):
        assert isinstance(after, Subscription)
        assert before is None or isinstance(before, Subscription)
        return list(_of_subscription(before, after))
    if event.type == "invoice.updated" and isinstance(before, Invoice) and isinstance(after, Invoice):
        return list(_of_invoice(before, after))
    if event.type == "price.updated" and isinstance(before, Price) and isinstance(after, Price):
        return list(_of_price(before, after))
    if event.type == "product.updated" and isinstance(before, Record) and isinstance(after, Record):
        return list(_of_product(before, after))
    return []


def _of_subscription(before: Subscription | None, after: Subscription) -> Iterator[str]:
    if after.status in STATUSES and (before is None or before.status != after.status):
        yield f"{SUBSCRIPTION}.{after.status}"
    if before is None:
        return
    if before.cancel_at != after.cancel_at:
        yield f"{SUBSCRIPTION}.cancel_at_changed"
    if before.default_payment_method != after.default_payment_method:
        yield f"{SUBSCRIPTION}.default_payment_method_changed"
    for name in _of_items(_by_id(before.items), _by_id(after.items)):
        yield f"{SUBSCRIPTION}.item_{name}"


def _by_id(items: list[Item]) -> dict[str, Item]:
    return {item.id: item for item in items}


def _of_items(before: Mapping[str, Item], after: Mapping[str, Item]) -> Iterator[str]:
    both = [(before[id], after[id]) for id in before.keys() & after.keys()]
    if after.keys() - before.keys():
        yield "added"
    if before.keys() - after.keys():
        yield "removed"
    if any(old.price.id != new.price.id for old, new in both):
        yield "price_changed"
    if any(old.quantity != new.quantity for old, new in both):
        yield "quantity_changed"
    if any(old.tax_rates != new.tax_rates for old, new in both):
        yield "tax_rates_changed"


def _of_invoice(before: Invoice, after: Invoice) -> Iterator[str]:
    old: dict[str, Line] = {line.id: line for line in before.lines}
    new: dict[str, Line] = {line.id: line for line in after.lines}
    both = [(old[id], new[id]) for id in old.keys() & new.keys()]
    if new.keys() - old.keys():
        yield "invoice.line_item_added"
    if old.keys() - new.keys():
        yield "invoice.line_item_removed"
    if any(one.price.id != other.price.id for one, other in both):
        yield "invoice.line_item_pricing_changed"
    if any(one.quantity != other.quantity for one, other in both):
        yield "invoice.line_item_quantity_changed"


def _of_price(before: Price, after: Price) -> Iterator[str]:
    if before.active != after.active:
        yield "price.activated" if after.active else "price.deactivated"
    if before.lookup_key != after.lookup_key:
        yield "price.lookup_key_changed"
    if before.tax_behavior != after.tax_behavior:
        yield "price.tax_behavior_changed"


def _of_product(before: Record, after: Record) -> Iterator[str]:
    old, new = before.content, after.content
    if old["active"] != new["active"]:
        yield "product.activated" if new["active"] else "product.deactivated"
    for name in ("default_price", "tax_code"):
        if old[name] != new[name]:
            yield f"product.{name}_changed"
