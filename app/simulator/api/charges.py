"""What takes money and takes it back: charges and disputes, read by id."""

from ..model import Charge
from ..shapes import Json
from .call import Call
from .reads import one


def get_charge(call: Call) -> Json:
    charges: dict[str, Charge] = {charge.id: charge for charge in call.account.charges.values()}
    return one(call, call.find("charge", charges))


def get_dispute(call: Call) -> Json:
    return one(call, call.find("dispute", call.account.disputes))
