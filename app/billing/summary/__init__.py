"""What a billing page shows of a user: plan, prices, dates, open invoices, usage, choices, warnings.

`summarize` is pure, over entitlements and stored rows; `read_summary` reads those of one user. Both give
data: words, formats and languages are the page's own, though each banner brings an English sentence.
"""

from .build import summarize
from .read import read_summary
from .scheduled import read_scheduled_change, scheduled_change
from .schemas import (
    Banner,
    Choice,
    OpenInvoice,
    Price,
    ScheduledChange,
    Summary,
    SummarySubscription,
    UsageBar,
)

__all__ = [
    "Banner",
    "Choice",
    "OpenInvoice",
    "Price",
    "ScheduledChange",
    "Summary",
    "SummarySubscription",
    "UsageBar",
    "read_scheduled_change",
    "read_summary",
    "scheduled_change",
    "summarize",
]
