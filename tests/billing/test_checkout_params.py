"""The parameters of a checkout session: what an order sends to Stripe, and what it cannot override."""

from typing import Any

import pytest
from stripe._request_options import RequestOptions
from stripe.params.checkout import SessionCreateParams

from app.billing.checkout import Order, OrderItem
from app.billing.checkout_order import MAX_ITEMS, MAX_METADATA, check_order
from app.billing.checkout_params import INSTEAD, PASSED_ON, check_parameters, session_params
from app.errors import InvalidRequest

ORIGIN = "https://app.example.com"
KEYS = ("user_id", "team_id")
NEVER_SENT = {
    "after_expiration",  # a session that expired could be opened again, trial included
    "client_reference_id",
    "customer",
    "customer_account",
    "customer_creation",
    "customer_email",
    "expand",
    "invoice_creation",
    "metadata",
    "mode",
    "payment_intent_data",
    "setup_intent_data",
    "shipping_options",
    "subscription_data",
}


def params_of(**changes: Any) -> dict[str, Any]:
    given = {"trial_days": None, "success_url": f"{ORIGIN}/w", "plan": "team"} | changes
    order = Order("user_ada", **given)
    check_order(order, (ORIGIN,))
    check_parameters(order, KEYS)
    return session_params(
        order, [{"price": "price_team"}], link_key="user_id", trial_days=order.trial_days, discounts=[]
    )


def refusal_of(**changes: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        params_of(**changes)
    return refused.value.detail


def test_every_parameter_of_stripes_is_passed_on_or_has_a_reason_not_to_be() -> None:
    known = SessionCreateParams.__annotations__.keys() - RequestOptions.__annotations__.keys()
    ours = {name for name in INSTEAD if "." not in name}
    assert PASSED_ON | ours | NEVER_SENT >= known, "decide whether a caller may send the new ones"
    assert known >= PASSED_ON | ours
    assert not ours & PASSED_ON


def test_the_options_of_an_order_are_written_as_stripe_reads_them() -> None:
    params = params_of(
        allow_promotion_codes=True,
        automatic_tax=True,
        tax_id_collection=True,
        billing_address_collection="required",
        locale="de",
        currency="eur",
        metadata={"campaign": "spring"},
        trial_days=14,
        trial_without_card="pause",
        stripe_params={
            "custom_text": {"submit": {"message": "Thank you"}},
            "customer_update": {"shipping": "auto"},
            "metadata": {"source": "pricing"},
            "subscription_data": {"description": "Team", "metadata": {"source": "pricing"}},
        },
    )
    assert params == {
        "mode": "subscription",
        "line_items": [{"price": "price_team"}],
        "client_reference_id": "user_ada",
        "success_url": f"{ORIGIN}/w",
        "allow_promotion_codes": True,
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "customer_update": {"address": "auto", "name": "auto", "shipping": "auto"},
        "billing_address_collection": "required",
        "locale": "de",
        "currency": "eur",
        "payment_method_collection": "if_required",
        "custom_text": {"submit": {"message": "Thank you"}},
        "metadata": {
            "campaign": "spring",
            "source": "pricing",
            "user_id": "user_ada",
            "billing_sold_as": "only_subscription",
        },
        "subscription_data": {
            "description": "Team",
            "metadata": {"campaign": "spring", "source": "pricing", "user_id": "user_ada"},
            "trial_period_days": 14,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        },
    }


def test_an_embedded_page_returns_to_one_address_or_stays() -> None:
    embedded: dict[str, Any] = {"ui_mode": "embedded", "success_url": None}
    returning = params_of(**embedded, return_url=f"{ORIGIN}/back")
    assert (returning["ui_mode"], returning["return_url"]) == ("embedded_page", f"{ORIGIN}/back")
    staying = params_of(**embedded)
    assert staying["redirect_on_completion"] == "never"
    assert not {"success_url", "cancel_url", "return_url"} & staying.keys()


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"mode": "payment"}, "mode"),
        ({"customer": "cus_eve"}, "customer"),
        ({"line_items": []}, "line_items"),
        ({"optional_items": [{"price": "price_team", "quantity": 1}]}, "optional_items"),
        ({"client_reference_id": "user_eve"}, "client_reference_id"),
        ({"success_url": "https://eve.example"}, "success_url"),
        ({"discounts": [{"coupon": "ALL"}]}, "discounts"),
        ({"payment_method_collection": "if_required"}, "payment_method_collection"),
        ({"after_expiration": {"recovery": {"enabled": True}}}, "after_expiration"),
        ({"api_key": "sk_test_eve"}, "api_key"),
        ({"stripe_account": "acct_eve"}, "stripe_account"),
        ({"headers": {"Stripe-Account": "acct_eve"}}, "headers"),
        ({"idempotency_key": "k"}, "idempotency_key"),
        ({"key": "k"}, "key"),
        ({"base": "files"}, "base"),
        ({"metadata[user_id]": "user_eve"}, "metadata[user_id]"),
        ({"metadata": {"user_id": "user_eve"}}, "metadata.user_id"),
        ({"metadata": {"team_id": "user_eve"}}, "metadata.team_id"),
        ({"metadata": {"billing_sold_as": "second_subscription"}}, "metadata.billing_sold_as"),
        ({"metadata": {"x][user_id": "user_eve"}}, "metadata"),
        ({"metadata": "user_eve"}, "metadata"),
        ({"subscription_data": {"metadata": {"user_id": "e"}}}, "subscription_data.metadata.user_id"),
        ({"subscription_data": {"metadata": []}}, "subscription_data.metadata"),
        ({"subscription_data": {"metadata][user_id": "user_eve"}}, "subscription_data"),
        ({"subscription_data": {"trial_end": 4_000_000_000}}, "subscription_data.trial_end"),
        ({"subscription_data": {"trial_period_days": 700}}, "subscription_data.trial_period_days"),
        ({"subscription_data": {"trial_settings": {}}}, "subscription_data.trial_settings"),
        ({"subscription_data": {"items": []}}, "subscription_data.items"),
        ({"subscription_data": "x"}, "subscription_data"),
        ({"automatic_tax": {"enabled": False}}, "automatic_tax.enabled"),
        ({"customer_update": {"address": "never"}}, "customer_update.address"),
        ({"custom_text": {"submit": {"message": None}}}, "custom_text.submit.message"),
        ({"custom_text": {"submit": {"message": "x" * 5001}}}, "custom_text.submit.message"),
        ({"custom_fields": [{"a": {"b": {"c": {"d": {"e": 1}}}}}]}, "custom_fields.0.a.b.c.d.e"),
        ({"custom_fields": list(range(300))}, "stripe_params"),
    ],
)
def test_no_parameter_takes_the_place_of_what_the_service_sets(given: dict[str, Any], key: str) -> None:
    detail = refusal_of(automatic_tax=True, stripe_params=given)
    assert detail.startswith((f"stripe_params.{key}:", "stripe_params: 200")), detail


def test_metadata_has_the_bounds_of_stripes() -> None:
    assert "metadata.user_id" in refusal_of(metadata={"user_id": "user_eve"})
    assert "brackets" in refusal_of(metadata={"a[b]": "x"}) and "brackets" in refusal_of(metadata={"": "x"})
    assert "40 characters" in refusal_of(metadata={"k" * 41: "x"})
    assert "500 characters" in refusal_of(metadata={"k": "x" * 501})
    assert "keys at most" in refusal_of(metadata={f"k{n}": "x" for n in range(MAX_METADATA + 1)})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"success_url": None}, "success_url"),
        ({"return_url": f"{ORIGIN}/x"}, "return_url"),
        ({"ui_mode": "embedded"}, "success_url"),
        ({"ui_mode": "embedded", "success_url": None, "return_url": "https://eve.example"}, "return_url"),
        ({"cancel_url": "https://eve.example"}, "cancel_url"),
        ({"plan": None}, "plan or a price_id"),
        ({"price_id": "price_team"}, "plan or a price_id"),
        ({"items": (OrderItem(plan="team"),)}, "either items"),
        ({"plan": None, "items": (OrderItem(plan="team", addon="more"),)}, "an addon"),
        ({"plan": None, "items": (OrderItem(plan="team"),) * (MAX_ITEMS + 1)}, "at most"),
        ({"coupon": "A", "promotion_code": "B"}, "one of"),
        ({"trial_days": -1}, "trial_days"),
    ],
)
def test_an_order_that_contradicts_itself_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal_of(**changes)
