"""What a user has: a pure function of subscriptions, invoices, catalogue, overrides and the time."""

from .access import Access, AccessLevel, Act, Block, access, term_end
from .decisions import Decision, Reason, decide
from .deletion import ended_with, is_doubtful
from .duplicates import ONLY_SUBSCRIPTION, SECOND_SUBSCRIPTION, SOLD_AS, Duplicate, duplicates
from .explanation import Explanation, explain_access
from .features import FeatureEntitlement, Override, Part
from .granted import Drawn, Grant
from .holdings import Holdings, OwnPlan
from .main_items import main_item_values, with_values
from .over_limit import OverLimit, is_within, over_limit
from .owed import Owed, owed_by_subscription
from .ownership import WEAK, secondary_customers
from .periods import Period
from .preview import FeaturePreview, preview, preview_purchase, preview_subscription
from .records import CustomerRecord, InvoiceRecord, OverrideRecord, SubscriptionRecord, never_paid
from .snapshot import Balance, Entitlements, entitle
from .subscriptions import JudgedSubscription

__all__ = [
    "ONLY_SUBSCRIPTION",
    "SECOND_SUBSCRIPTION",
    "SOLD_AS",
    "WEAK",
    "Access",
    "AccessLevel",
    "Act",
    "Balance",
    "Block",
    "CustomerRecord",
    "Decision",
    "Drawn",
    "Duplicate",
    "Entitlements",
    "Explanation",
    "FeatureEntitlement",
    "FeaturePreview",
    "Grant",
    "Holdings",
    "InvoiceRecord",
    "JudgedSubscription",
    "OverLimit",
    "Override",
    "OverrideRecord",
    "Owed",
    "OwnPlan",
    "Part",
    "Period",
    "Reason",
    "SubscriptionRecord",
    "access",
    "decide",
    "duplicates",
    "ended_with",
    "entitle",
    "explain_access",
    "is_doubtful",
    "is_within",
    "main_item_values",
    "never_paid",
    "over_limit",
    "owed_by_subscription",
    "preview",
    "preview_purchase",
    "preview_subscription",
    "secondary_customers",
    "term_end",
    "with_values",
]
