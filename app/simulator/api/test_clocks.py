"""Test clocks: kept, and advanced with the account's own time, which is the only one here."""

from ..shapes import Json
from .call import Call
from .errors import invalid
from .expansion import answer
from .resources import Resource
from .typed import typed

LATEST = 253_402_300_799
"""The last second of the year 9999: no later one can be shown as a date."""
TEST_CLOCKS = Resource(
    "test clock",
    "test_helpers.test_clock",
    "clock",
    {"deletes_after": None, "name": None, "status": "ready", "status_details": {}},
    ("frozen_time", "name"),
    required=("frozen_time",),
    event="test_helpers.test_clock",
)


def advance_clock(call: Call) -> Json:
    """The whole account's time moves on with the clock, as by `account.advance`.

    Raises:
        ApiError: 400 for a time in the past, or after the year 9999.
    """
    params, record = typed(call, ("frozen_time",)), TEST_CLOCKS.found(call)
    wanted = params.get("frozen_time")
    if not isinstance(wanted, int) or wanted <= record.content["frozen_time"]:
        raise invalid("The clock can be advanced forward only.", "frozen_time")
    if wanted > LATEST:
        raise invalid("The clock can be advanced to the end of the year 9999 at most.", "frozen_time")
    if wanted > call.account.now:
        call.account.advance(wanted - call.account.now)
    call.account.change_record(record, {"frozen_time": wanted})
    return answer(call, record)
