"""What a user has: a pure function of subscriptions, invoices, catalogue, overrides and the time."""

from .decisions import Decision, Reason, decide
from .explanation import Explanation, explain_access
from .features import FeatureEntitlement, Override, Part
from .periods import Period
from .preview import FeaturePreview, preview, preview_subscription
from .records import CustomerRecord, InvoiceRecord, OverrideRecord, SubscriptionRecord
from .snapshot import Entitlements, OwnPlan, entitle
from .standing import Access, AccessLevel, Block, access
from .subscriptions import JudgedSubscription, oldest_attempted_open_invoices

__all__ = [
    "Access",
    "AccessLevel",
    "Block",
    "CustomerRecord",
    "Decision",
    "Entitlements",
    "Explanation",
    "FeatureEntitlement",
    "FeaturePreview",
    "InvoiceRecord",
    "JudgedSubscription",
    "Override",
    "OverrideRecord",
    "OwnPlan",
    "Part",
    "Period",
    "Reason",
    "SubscriptionRecord",
    "access",
    "decide",
    "entitle",
    "explain_access",
    "oldest_attempted_open_invoices",
    "preview",
    "preview_subscription",
]
