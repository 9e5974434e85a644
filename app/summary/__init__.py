"""What a billing page shows of a user: plan, prices, dates, open invoices, usage, choices, warnings.

`summarize` is pure, over entitlements and stored rows; `read_summary` reads those of one user. Both give
data: words, formats and languages are the page's own, though each banner brings an English sentence.
"""

from .building import summarize
from .reading import read_summary
from .shapes import Banner, Choice, OpenInvoice, Price, Summary, SummarySubscription, UsageBar

__all__ = [
    "Banner",
    "Choice",
    "OpenInvoice",
    "Price",
    "Summary",
    "SummarySubscription",
    "UsageBar",
    "read_summary",
    "summarize",
]
