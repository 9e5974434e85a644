"""What `expand` puts in the place of ids, and the members that are shown only where they are asked for."""

from collections.abc import Callable, Iterator
from typing import Any

from ..objects import render_discount
from ..payments import payment_intent_id, payment_record
from ..prices import render_currency_options
from ..shapes import Json
from . import forms
from .call import Call, Found
from .errors import invalid
from .payments import by_charge, by_intent, charge_of, intent_of
from .rendering import render_line_items, show

DEEPEST = 4


def answer(call: Call, found: Found) -> Json:
    """An object, with what the request wants expanded.

    Raises:
        ApiError: 400 for what cannot be expanded.
    """
    return expand(call, show(call, found), forms.texts(call.params, "expand"))


def expand(call: Call, content: Json, paths: list[str]) -> Json:
    """Put objects in the place of their ids, along paths such as `data.latest_invoice.customer`.

    Raises:
        ApiError: 400 for a path that leads to no id, or is over four levels deep.
    """
    for path in paths:
        keys = path.split(".")
        if len(keys) > DEEPEST + (keys[0] == "data"):
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property: {path}", "expand")
        _expand(call, content, keys, path)
    return content


def _expand(call: Call, holder: Any, keys: list[str], path: str) -> None:
    if holder is None or not keys:
        return
    if isinstance(holder, list):
        for entry in holder:
            _expand(call, entry, keys, path)
        return
    key, *rest = keys
    if not isinstance(holder, dict):
        raise _not_expandable(path)
    if (shown := HIDDEN.get((str(holder.get("object")), key))) is not None:
        holder[key] = shown(call, holder["id"])
        if (str(holder.get("object")), key) in PLAIN:
            return
    if key not in holder:
        raise _not_expandable(path)
    value = holder[key]
    if isinstance(value, str):
        holder[key] = _object(call, value, path)
    elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        holder[key] = [_object(call, one, path) for one in value]
    elif not _leads_on(value, last=not rest):
        raise _not_expandable(path)
    _expand(call, holder[key], rest, path)


def _leads_on(value: Any, *, last: bool) -> bool:
    """A list or hash on the way, or nothing; at the end only what is an object already."""
    return (
        value is None
        or isinstance(value, list)
        or (isinstance(value, dict) and not (last and "object" not in value and "client_secret" not in value))
    )


def _object(call: Call, id: str, path: str) -> Json:
    account = call.account
    for table in (account.customers, account.subscriptions, account.invoices, account.prices):
        if id in table:
            found: Found = table[id]
            return show(call, found)
    for records in account.records.values():
        if id in records:
            return show(call, records[id])
    for discount in _discounts(call):
        if discount.id == id:
            return render_discount(discount, call.shape)
    if (paid := by_intent(account).get(id)) is not None:
        return show(call, intent_of(account, paid))
    if (paid := by_charge(account).get(id)) is not None:
        return show(call, charge_of(account, paid))
    raise _not_expandable(path)


def _discounts(call: Call) -> Iterator[Any]:
    for subscription in call.account.subscriptions.values():
        yield from subscription.discounts
    for customer in call.account.customers.values():
        if customer.discount is not None:
            yield customer.discount


def _subscriptions(call: Call, id: str) -> Json:
    found = [
        one for one in call.account.subscriptions.values() if one.customer == id and one.ended_at is None
    ]
    return _list(call, list(reversed(found)), f"/v1/customers/{id}/subscriptions")


def _tax_ids(call: Call, id: str) -> Json:
    found = call.account.records.get("tax_id", {}).values()
    return _list(call, [one for one in found if one.content["customer"] == id], f"/v1/customers/{id}/tax_ids")


def _payments(call: Call, id: str) -> Json:
    invoice = call.account.invoices[id]
    records = [payment_record(invoice)] if invoice.status != "draft" else []
    return _list(call, records, f"/v1/invoices/{id}/payments")


def _confirmation_secret(call: Call, id: str) -> Json | None:
    if call.account.invoices[id].status == "draft":
        return None
    return {"client_secret": f"{payment_intent_id(id)}_secret_simulated", "type": "payment_intent"}


def _refunds(call: Call, id: str) -> Json:
    found = call.account.records.get("refund", {}).values()
    return _list(call, [one for one in found if one.content["charge"] == id], f"/v1/charges/{id}/refunds")


def _list(call: Call, found: list[Any], url: str) -> Json:
    return {"object": "list", "data": [show(call, one) for one in found], "has_more": False, "url": url}


HIDDEN: dict[tuple[str, str], Callable[[Call, str], Json | None]] = {
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "tax_ids"): _tax_ids,
    ("customer", "sources"): lambda call, id: _list(call, [], f"/v1/customers/{id}/sources"),
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("charge", "refunds"): _refunds,
    ("checkout.session", "line_items"): lambda call, id: render_line_items(
        call.account.sessions[id], call.shape
    ),
    ("price", "currency_options"): lambda call, id: render_currency_options(call.account.prices[id]),
}
"""Members that are shown only where they are expanded, by kind of object and name."""
PLAIN = frozenset({("price", "currency_options")})
"""Of these, those that are no objects."""


def _not_expandable(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", "expand")
