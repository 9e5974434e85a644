"""Amounts, counts and times for people. Stripe has amounts in the currency's minor unit."""

from typing import Final

# "Supported currencies": zero-decimal, special cases (ISK and UGX are sent with two decimals), three-decimal.
NO_DECIMALS: Final = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMALS: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def money(amount: int | None, currency: str | None) -> str:
    """1234 of eur as `12.34 EUR`, in a sentence."""
    return shown_amount(amount, currency) or "an unknown amount"


def shown_amount(amount: int | None, currency: str | None) -> str:
    """1234 of eur as `12.34 EUR`; nothing where the amount is not known."""
    if amount is None:
        return ""
    if currency is None:
        return str(amount)
    decimals = decimals_of(currency)
    whole, part = divmod(abs(amount), 10**decimals)
    fraction = f".{part:0{decimals}}" if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction} {currency.upper()}"


def decimals_of(currency: str | None) -> int:
    """How many decimals the currency's amounts have: 0 of jpy, 3 of kwd, else 2."""
    unit = (currency or "").lower()
    return 0 if unit in NO_DECIMALS else 3 if unit in THREE_DECIMALS else 2


def counted(number: int, noun: str) -> str:
    """`1 event`, `2 events`, `1,000 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Roughly: `45 s`, `12 min`, `3 h`, `5 d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
