"""What an event or an audit entry changed, field by field."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..stripe.objects import MAX_SECONDS
from ..stripe.steps import put_back
from .formatting import day, money

MOST_CHANGES = 30
IGNORED_FIELDS = frozenset(
    (
        "lines",
        "webhooks_delivered_at",
        "latest_invoice",
        "object",
        "id",
        "effective_at",
        "invoice_pdf",
        "hosted_invoice_url",
        "number",
        "ending_balance",
        "status_transitions",
        "attempted",
        "auto_advance",
        "amount_remaining",
    )
)
"""Top-level fields that change only together with another field that is shown."""
FIRST_SEEN = (
    "status",
    "customer",
    "email",
    "subscription",
    "amount_due",
    "amount_paid",
    "metadata",
    "client_reference_id",
)
TIMES = ("_at", "_start", "_end", "_date", "_attempt", "created", "_anchor")
AMOUNTS = ("amount_due", "amount_paid", "unit_amount")
DUPLICATE_FIELDS = re.compile(r"^items\..*\.plan\.|_decimal$")
"""An item's `plan` repeats its price, in an older form."""
YEAR_2000 = 946_684_800


@dataclass(frozen=True, slots=True)
class Change:
    """One field before and after, as text. None: it was absent."""

    name: str
    before: str | None
    after: str | None


def of_event(
    content: Mapping[str, Any], previous: Mapping[str, Any] | None, before: Mapping[str, Any] | None
) -> list[Change]:
    """The changes by Stripe's `previous_attributes` if given, otherwise against the snapshot `before`."""
    if previous:
        changed = difference(put_back(dict(content), dict(previous)), content)
    elif before is not None:
        changed = difference(before, content)
    else:
        changed = difference({}, {name: content[name] for name in FIRST_SEEN if content.get(name)})
    kept = (change for change in changed if not DUPLICATE_FIELDS.search(change.name))
    return limited(_priced(change, content.get("currency")) for change in kept)


def _priced(change: Change, currency: Any) -> Change:
    """The change with amounts (minor units) written in the object's currency."""
    if not change.name.endswith(AMOUNTS) or not isinstance(currency, str):
        return change
    before, after = (
        money(int(each), currency) if each is not None and each.lstrip("-").isdecimal() else each
        for each in (change.before, change.after)
    )
    return Change(change.name, before, after)


def of_audit(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Change]:
    return limited(difference(before or {}, after or {}))


def limited(changes: Iterable[Change]) -> list[Change]:
    """At most MOST_CHANGES of them, and a line that says so."""
    kept: list[Change] = []
    for change in changes:
        if len(kept) == MOST_CHANGES:
            return [*kept, Change("…", "more", "see the raw event")]
        kept.append(change)
    return kept


def difference(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Every leaf that differs; null and absent are the same."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            if path or key not in IGNORED_FIELDS:
                yield from difference(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            old = before[place] if place < len(before) else None
            new = after[place] if place < len(after) else None
            yield from difference(old, new, f"{path}[{place}]")
    elif isinstance(before, Mapping | list) and after is None:
        yield Change(path, _summary(before), None)
    elif isinstance(after, Mapping) and before is None and path.count(".") + path.count("[") < 3:
        yield from difference({}, after, path)
    else:
        yield Change(path, _words(path, before), _words(path, after))


def _words(path: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Mapping | list):
        return _summary(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and path.endswith(TIMES) and YEAR_2000 < value <= MAX_SECONDS:
        return day(value)
    return str(value)


def _summary(value: Any) -> str:
    named = value.get("id") if isinstance(value, Mapping) else None
    return str(named or ("{…}" if isinstance(value, Mapping) else f"[{len(value)}]"))
