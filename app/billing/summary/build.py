"""A summary from entitlements and rows: pure, so that any page and any test can call it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from ...db.models import Invoice, Subscription
from ...entitlements import (
    Entitlements,
    FeatureEntitlement,
    JudgedSubscription,
    SubscriptionRecord,
    duplicates,
    main_item_values,
    preview,
    term_end,
    with_values,
)
from ...plans import Feature, Plan, PriceList, PriceTerms, Pricing
from ...plans.shown import BYTES, shown_limit, shown_number
from ...stripe.objects import ENDED
from ..pricing import SoldPrice
from .banners import banners
from .scheduled import scheduled_change
from .schemas import (
    Choice,
    FeatureChange,
    Included,
    OpenInvoice,
    Price,
    Summary,
    SummarySubscription,
    UsageBar,
    UsageLevel,
)

RENEWING: Final = frozenset({"active", "trialing", "past_due"})
WARN_AT: Final = 0.8
"""The share of a limit from which a bar warns, where the catalogue names none."""


def summarize(
    entitlements: Entitlements,
    subscriptions: Iterable[Subscription],
    invoices: Iterable[Invoice],
    action_required: Collection[str] = (),
    pricing: Pricing | None = None,
) -> Summary:
    """What a billing page shows of a user.

    The entitlements must have been loaded with the usage; the rows are those that they were made from.
    `action_required` has the ids of the open invoices that the customer's bank wants confirmed. `pricing`:
    what prices cost; without it amounts are those of the user's own subscriptions.
    """
    pricing = pricing or Pricing(entitlements.catalogue)
    rows = {row.id: row for row in subscriptions}
    shown = [
        _subscription(each, rows[each.id], pricing, entitlements)
        for each in _shown(entitlements)
        if each.id in rows
    ]
    open_invoices = [_invoice(row, row.id in action_required) for row in _open(invoices)]
    usage = list(_usage(entitlements))
    return Summary(
        user_id=entitlements.user_id,
        as_of=entitlements.as_of,
        plan=entitlements.plan,
        plan_name=pricing.plan_title(entitlements.plan),
        restorable_plan_name=pricing.plan_title(
            entitlements.own_plan.plan if entitlements.own_plan else None
        ),
        restorable_plan=entitlements.own_plan.plan if entitlements.own_plan else None,
        status=entitlements.status,
        access=entitlements.access,
        subscriptions=shown,
        open_invoices=open_invoices,
        usage=usage,
        included=list(_included(entitlements)),
        choices=list(_choices(entitlements, pricing)),
        banners=banners(entitlements, shown, open_invoices, usage, bought_twice=_bought_twice(rows.values())),
    )


def _bought_twice(rows: Iterable[Subscription]) -> bool:
    """Whether the user pays twice; a second trial costs nobody anything."""
    return any(each.why == "second_subscription" for each in duplicates(rows))


def _shown(entitlements: Entitlements) -> list[JudgedSubscription]:
    """Those that are not over, the main one first."""
    own = [each for each in entitlements.subscriptions if not each.secondary]
    alive = [each for each in own if each.entitles or each.access.blocked_by]
    return sorted(alive, key=lambda each: each is not entitlements.subscription)


def _subscription(
    judged: JudgedSubscription, row: Subscription, pricing: Pricing, entitlements: Entitlements
) -> SummarySubscription:
    seen = with_values(row, main_item_values(row, entitlements.prices))
    ends_at = _ended_at(row) if row.status in ENDED else _ends_at(seen)
    renews = row.status in RENEWING and ends_at is None
    return SummarySubscription(
        subscription_id=row.id,
        customer_id=row.customer_id,
        plan=judged.plan.id if judged.plan else None,
        plan_name=pricing.title(judged.plan) if judged.plan else None,
        status=row.status,
        access=judged.access.level,
        trial_limits=judged.limited
        and any(each.offer is not None and each.offer.trial for each in judged.items),
        prices=[_price(item, pricing, entitlements.prices) for item in row.items],
        renews_at=_renews_at(seen, entitlements.as_of) if renews else None,
        ends_at=ends_at,
        trial_ends_at=row.trial_end if row.status == "trialing" else None,
        scheduled_change=scheduled_change(row, entitlements.prices, entitlements.as_of),
    )


ITEM = ("price_id", "product_id", "quantity", "unit_amount", "currency", "interval", "interval_count")


def _price(item: Mapping[str, Any], pricing: Pricing, prices: PriceList) -> Price:
    """An item in words; the item itself says what it costs where nothing else does."""
    price_id, product_id = item.get("price_id"), item.get("product_id")
    offer = prices.offer(price_id, product_id)
    terms = pricing.terms.get(price_id or "") or PriceTerms.of(price_id or "", item, product_id=product_id)
    return Price(
        **{name: item.get(name) for name in ITEM},
        name=pricing.title(offer) if offer is not None else pricing.products.get(product_id or ""),
        text=pricing.text(offer, terms, item.get("quantity")),
    )


def _renews_at(row: SubscriptionRecord, now: int) -> int | None:
    """The end of the term; once that has passed, of the one that a paid invoice shows."""
    passed = row.expiry_date is not None and row.expiry_date <= now
    return term_end(row) if passed else row.expiry_date


def _ended_at(row: Subscription) -> int | None:
    return row.ended_at or row.expiry_date


def _ends_at(row: SubscriptionRecord) -> int | None:
    """When it is over; None while it goes on by itself. The same moment as access ends by."""
    if row.cancel_at_period_end:
        return row.expiry_date or row.cancel_at
    if row.cancel_at is not None and row.expiry_date is not None and row.cancel_at <= row.expiry_date:
        return row.expiry_date
    return row.cancel_at


def _open(invoices: Iterable[Invoice]) -> list[Invoice]:
    unpaid = [row for row in invoices if row.status == "open" and row.amount_remaining != 0]
    return sorted(unpaid, key=lambda row: (row.created or 0, row.id))


def _invoice(row: Invoice, action_required: bool) -> OpenInvoice:
    return OpenInvoice(
        invoice_id=row.id,
        subscription_id=row.subscription_id,
        amount_remaining=row.amount_remaining,
        currency=row.currency,
        created=row.created,
        next_payment_attempt=row.next_payment_attempt,
        attempted=row.attempt_count > 0,
        action_required=action_required,
        pay_url=_safe(row.hosted_invoice_url),
    )


def _safe(url: str | None) -> str | None:
    """Only what a browser opens as a page: the link is put into one."""
    return url if url is not None and url.startswith("https://") else None


def _usage(entitlements: Entitlements) -> Iterator[UsageBar]:
    for key, feature in entitlements.features.items():
        if feature.kind not in ("allocated", "consumable"):
            continue
        decision = entitlements.look(key)
        if feature.limit == 0 and decision.used == 0:
            continue  # not in the plan, and nothing to show
        yield UsageBar(
            feature=key,
            name=entitlements.catalogue.features[key].title,
            text=_used(entitlements.catalogue.features[key], decision.used, feature.limit),
            used=decision.used,
            limit=feature.limit,
            remaining=decision.remaining,
            granted=feature.granted,
            share=_share(decision.used, feature.limit),
            level=_level(decision.used, feature),
            soft=feature.soft,
            resets_at=decision.resets_at,
        )


def _used(feature: Feature, used: int, limit: int | None) -> str:
    """`8 of 10 projects`; without the first unit, unless it is a size."""
    of = "unlimited" if limit is None else shown_number(feature, limit)
    amount = shown_number(feature, used) if feature.unit == BYTES else f"{used:,}"
    return f"{amount}, {of}" if limit is None else f"{amount} of {of}"


def _limit_text(feature: Feature, limit: int | None) -> str:
    """A limit in words. Of a switch, whether it is on."""
    if feature.kind == "boolean":
        return shown_limit(feature, limit is None)
    return "none" if limit == 0 else shown_limit(feature, limit)


def _share(used: int, limit: int | None) -> float | None:
    if limit is None:
        return None
    return min(used / limit, 1.0) if limit else 1.0


def _level(used: int, feature: FeatureEntitlement) -> UsageLevel:
    if feature.limit is None:
        return "ok"
    if used >= feature.limit:
        return "over" if used > feature.limit else "full"
    return "warn" if used >= min(feature.warn_at, default=WARN_AT) * feature.limit else "ok"


def _included(entitlements: Entitlements) -> Iterator[Included]:
    for key, feature in entitlements.features.items():
        if feature.kind in ("boolean", "static"):
            named = entitlements.catalogue.features[key]
            yield Included(
                feature=key, name=named.title, text=shown_limit(named, feature.value), value=feature.value
            )


def _choices(entitlements: Entitlements, pricing: Pricing) -> Iterator[Choice]:
    """The plans that are sold, in a pricing page's order, without the one that the user has or would have."""
    own = {entitlements.plan, entitlements.own_plan.plan if entitlements.own_plan else None}
    for plan in entitlements.catalogue.sold_plans():
        if plan.id not in own:
            yield _choice(plan, pricing, entitlements)


def _choice(plan: Plan, pricing: Pricing, entitlements: Entitlements) -> Choice:
    compared = preview(entitlements, _counted(entitlements), plan=plan.id)
    features = entitlements.catalogue.features
    changes = [
        FeatureChange(
            feature=key,
            name=features[key].title,
            text_now=_limit_text(features[key], each.limit_now),
            text_then=_limit_text(features[key], each.limit_then),
            limit_now=each.limit_now,
            limit_then=each.limit_then,
            over=each.over,
            text_over=shown_number(features[key], each.over),
        )
        for key, each in compared.items()
        if each.limit_now != each.limit_then
    ]
    less = any(_is_more(each.limit_now, each.limit_then) for each in changes)
    return Choice(
        plan=plan.id,
        name=pricing.title(plan),
        description=plan.description,
        trial_days=plan.trial_days,
        once=plan.once is not None,
        offers=[SoldPrice.of(terms) for terms in pricing.sold_at(plan)],
        prices=list(plan.prices),
        upgrade=bool(changes) and not less,
        fits=not any(each.over for each in compared.values()),
        changes=changes,
    )


def _counted(entitlements: Entitlements) -> Mapping[str, int]:
    return entitlements.usage or {}


def _is_more(limit: int | None, than: int | None) -> bool:
    return than is not None and (limit is None or limit > than)
