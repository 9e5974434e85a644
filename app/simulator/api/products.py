"""Products and prices: created, changed, listed; a product without prices can be deleted."""

from dataclasses import replace
from typing import Any

from ..model import Price
from ..products import new_product
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing
from .expansion import answer
from .index import Facet
from .listing import Selection, page
from .reads import one
from .resources import Resource
from .typed import typed

PRODUCT_MEMBERS = (
    "name",
    "active",
    "description",
    "images",
    "marketing_features",
    "metadata",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)
INTERVALS = ("day", "week", "month", "year")
PRICE_CREATED = (
    "currency",
    "unit_amount",
    "unit_amount_decimal",
    "active",
    "lookup_key",
    "transfer_lookup_key",
    "metadata",
    "nickname",
    "product",
    "product_data",
    "recurring",
    "tax_behavior",
    "billing_scheme",
    "currency_options",
)
PRICE_UPDATED = ("active", "lookup_key", "transfer_lookup_key", "metadata", "nickname", "tax_behavior")


def _changed_product(call: Call, params: Json) -> Json:
    if params.get("default_price") is not None:
        call.price(params["default_price"], "default_price")
    return params | {"updated": call.account.now}


class Products(Resource):
    """Products are records, which a price makes as well."""

    def create(self, call: Call) -> Json:
        price_data = call.params.get("default_price_data")
        params = typed(call, (*self.created, "default_price_data"))
        if not params.get("name"):
            raise missing("name")
        params.pop("default_price_data", None)
        id, now = params.pop("id", None) or call.account.new_id("prod"), call.account.now
        record = self.add(call, new_product(id, now) | {"updated": now} | params, id)
        if price_data is not None:
            price = _price(call, record.id, forms.hashed(call.params, "default_price_data"))
            call.account.change_record(record, {"default_price": price.id}, self.event)
        return answer(call, record)

    def delete(self, call: Call) -> Json:
        if any(price.product == call.id for price in call.account.prices.values()):
            raise invalid("This product cannot be deleted because it has one or more user-created prices.")
        return super().delete(call)

    def list(self, call: Call) -> Json:
        ids = forms.texts(call.params, "ids")
        if not ids:
            return super().list(call)
        forms.known(call.params, ("ids", "limit", "active", "expand"))
        records = call.account.records.get("product", {})
        found = [answer(call, records[id]) for id in ids if id in records]
        return {"object": "list", "url": call.path, "has_more": False, "data": found}


PRODUCTS = Products(
    "product",
    "product",
    "prod",
    new_product("", 0),
    ("id", *PRODUCT_MEMBERS),
    (*PRODUCT_MEMBERS, "default_price"),
    filters=("active", "shippable", "url"),
    event="product",
    change=_changed_product,
)


def create_price(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for what Stripe refuses.
    """
    params = typed(call, PRICE_CREATED)
    if params.get("product_data"):
        name = params["product_data"].get("name")
        if not name:
            raise missing("product_data[name]")
        made = new_product(call.account.new_id("prod"), call.account.now, name)
        product = PRODUCTS.add(call, made, made["id"]).id
    elif params.get("product") is None:
        raise invalid("You must specify either `product` or `product_data` when creating a price.", "product")
    else:
        product = PRODUCTS.found(call, params["product"], "product").id
    return answer(call, _price(call, product, params))


def _price(call: Call, product: str, params: Json) -> Price:
    account = call.account
    lookup_key = _lookup_key(call, params, None)
    recurring: dict[str, Any] = params.get("recurring") or {}
    interval = recurring.get("interval", "month")
    if interval not in INTERVALS or (recurring and "interval" not in recurring):
        raise invalid(
            f"Invalid recurring[interval]: must be one of {', '.join(INTERVALS)}", "recurring[interval]"
        )
    price = Price(
        account.new_id("price"),
        _amount(params),
        forms.required(params, "currency").lower(),
        interval,
        account.now,
        active=params.get("active") is not False,
        lookup_key=lookup_key,
        product_id=product,
        nickname=params.get("nickname"),
        metadata=dict(params.get("metadata") or {}),
        recurring=bool(recurring),
        interval_count=int(recurring.get("interval_count") or 1),
        usage_type=recurring.get("usage_type") or "licensed",
        tax_behavior=params.get("tax_behavior") or "unspecified",
        trial_period_days=recurring.get("trial_period_days"),
        currency_options={
            name.lower(): forms.integer(option, "unit_amount", prefix=f"currency_options[{name}]") or 0
            for name, option in forms.hashed(call.params, "currency_options").items()
        },
    )
    return account.add_price(price)


def _amount(params: Json) -> int:
    """Minor currency units; of a decimal amount the whole ones."""
    amount = params.get("unit_amount")
    if amount is None:
        decimal = params.get("unit_amount_decimal")
        if decimal is None:
            raise missing("unit_amount")
        return round(float(decimal))
    if int(amount) < 0:
        raise invalid("This value must be greater than or equal to 0.", "unit_amount")
    return int(amount)


def _lookup_key(call: Call, params: Json, price: Price | None) -> str | None:
    """A key that no other price has, or that is transferred from the one that has it."""
    key: str | None = params.get("lookup_key")
    for other in list(call.account.prices.values()):
        if key is None or other.lookup_key != key or other is price:
            continue
        if not params.get("transfer_lookup_key"):
            raise invalid(
                f"A price (`{other.id}`) already uses that lookup key. You can transfer the lookup key from "
                "that price by passing `transfer_lookup_key=true`",
                "lookup_key",
            )
        call.account.change_price_object(replace(other, lookup_key=None))
    return key


def update_price(call: Call) -> Json:
    params = typed(call, PRICE_UPDATED)
    price = call.price()
    changes: dict[str, Any] = {
        name: params[name] for name in ("active", "nickname", "tax_behavior") if params.get(name) is not None
    }
    if "lookup_key" in params:
        changes["lookup_key"] = _lookup_key(call, params, price)
    if "metadata" in params:
        changes["metadata"] = forms.merged_metadata(call.params, price.metadata)
    return answer(call, call.account.change_price_object(replace(price, **changes)))


def get_price(call: Call) -> Json:
    return one(call, call.price())


def list_prices(call: Call) -> Json:
    filters = ("product", "currency", "type")
    active, keys = forms.boolean(call.params, "active"), forms.texts(call.params, "lookup_keys")
    facets: list[Facet] = [
        (name, value) for name in filters if (value := forms.text(call.params, name)) is not None
    ]
    if active is not None:
        facets.append(("active", active))
    either: list[Facet] | None = [("lookup_key", key) for key in keys] or None
    prices = call.account.prices
    selection = Selection(call.catalogue.prices_index, facets, either, allows=prices.__contains__)
    return page(call, "price", selection, prices.__getitem__, (*filters, "active", "lookup_keys"))
