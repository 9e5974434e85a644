"""`/search`: Stripe's search query language over the objects as they are rendered ("Search")."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..shapes import Json
from . import forms
from .call import Call, Found
from .errors import invalid
from .expansion import answer
from .listing import limit_of
from .rendering import show

FIELDS: Mapping[str, tuple[str, ...]] = {
    "customer": ("created", "email", "name", "phone"),
    "subscription": ("created", "status", "canceled_at"),
    "invoice": (
        "created",
        "currency",
        "customer",
        "last_finalization_error_code",
        "number",
        "receipt_number",
        "status",
        "subscription",
        "total",
    ),
    "price": ("active", "currency", "lookup_key", "product", "type"),
    "product": ("active", "description", "name", "shippable", "url"),
    "charge": ("amount", "created", "currency", "customer", "disputed", "refunded", "status"),
    "payment_intent": ("amount", "created", "currency", "customer", "status"),
}
"""By noun, what a query may ask for beside metadata."""

NUMBERS = ("created", "canceled_at", "total", "amount")
CLAUSE = re.compile(
    r"""\s*(?P<negative>-)?(?P<field>\w+)(\[(?P<quote>["'])(?P<key>.*?)(?P=quote)\])?"""
    r"""(?P<operator>:|~|>=|<=|>|<)(?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"']+)\s*"""
)
WORD = re.compile(r"(AND|OR)\s", re.IGNORECASE)
MOST_CLAUSES = 10


@dataclass(frozen=True)
class Clause:
    """One condition of a query; `key` of metadata."""

    field: str
    key: str | None
    operator: str
    value: str
    negative: bool

    def holds(self, content: Json) -> bool:
        found = (
            (content.get("metadata") or {}).get(self.key) if self.key is not None else _member(content, self)
        )
        return self._matches(found) != self.negative

    def _matches(self, found: Any) -> bool:
        if self.value == "null":
            return found is None
        if found is None:
            return False
        if self.operator == "~":
            return self.value.lower() in str(found).lower()
        if self.field in NUMBERS and self.key is None:
            return _compared(self.operator, int(found), int(self.value))
        told = str(found).lower() if isinstance(found, bool) else str(found)
        return told.lower() == self.value.lower()


def _member(content: Json, clause: Clause) -> Any:
    if clause.field == "subscription" and "parent" in content:
        return ((content["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return content.get(clause.field)


def _compared(operator: str, found: int, value: int) -> bool:
    match operator:
        case ">":
            return found > value
        case "<":
            return found < value
        case ">=":
            return found >= value
        case "<=":
            return found <= value
        case _:
            return found == value


def parse(query: str, noun: str) -> tuple[list[Clause], bool]:
    """The conditions, and whether all of them have to hold rather than one.

    Raises:
        ApiError: 400 for a query that Stripe would not understand.
    """
    clauses: list[Clause] = []
    words: set[str] = set()
    position = 0
    while position < len(query):
        found = CLAUSE.match(query, position)
        if found is None:
            raise _not_understood(query)
        clauses.append(_clause(found, noun))
        position = found.end()
        word = WORD.match(query, position)
        if word is not None:
            words.add(word[1].upper())
            position = word.end()
            if position >= len(query):
                raise _not_understood(query)
    if not clauses or len(clauses) > MOST_CLAUSES:
        raise _not_understood(query)
    if len(words) > 1:
        raise invalid("You cannot combine AND and OR in the same query.", "query")
    return clauses, words != {"OR"}


def _clause(found: re.Match[str], noun: str) -> Clause:
    field, key, value, operator = found["field"], found["key"], found["value"], found["operator"]
    if (key is not None) != (field == "metadata") or (key is None and field not in FIELDS[noun]):
        raise invalid(f"Field `{field}` is an unsupported search field for resource `{noun}s`.", "query")
    quoted = value[0] in "\"'"
    text = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
    number = field in NUMBERS and key is None
    if number and not re.fullmatch(r"-?\d+", text) and text != "null":
        raise invalid(f"The field `{field}` is compared with a number.", "query")
    if operator not in (":", "~") and not number:
        raise invalid(f"The operator {operator} is for numbers only.", "query")
    return Clause(field, key, operator, text, found["negative"] is not None)


def _not_understood(query: str) -> Exception:
    return invalid(
        'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query '
        'for metadata or key:"value" to query for other fields.',
        "query",
    )


def searching(noun: str, table: Callable[[Call], Iterable[Found]]) -> Callable[[Call], Json]:
    """The handler of one noun's search: newest first, in pages named by `next_page`."""

    def handler(call: Call) -> Json:
        forms.known(call.params, ("query", "limit", "page", "expand"))
        clauses, every = parse(forms.required(call.params, "query"), noun)
        join = all if every else any
        found = [
            one
            for one in reversed(list(table(call)))
            if join(clause.holds(show(call, one)) for clause in clauses)
            and not getattr(one, "deleted", False)
        ]
        return _page(call, [] if call.other_mode else found)

    return handler


def _page(call: Call, found: list[Found]) -> Json:
    limit, token = limit_of(call), forms.text(call.params, "page") or "page_0"
    number = token.removeprefix("page_")
    if not (number.isascii() and number.isdecimal()):
        raise invalid(f"Invalid page: {token}", "page")
    first = int(number)
    more = first + limit < len(found)
    return {
        "object": "search_result",
        "data": [answer(call, one) for one in found[first : first + limit]],
        "has_more": more,
        "next_page": f"page_{first + limit}" if more else None,
        "url": call.path,
    }


search_customers = searching("customer", lambda call: call.account.customers.values())
search_subscriptions = searching("subscription", lambda call: call.account.subscriptions.values())
search_invoices = searching("invoice", lambda call: call.account.invoices.values())
search_prices = searching("price", lambda call: call.account.prices.values())
search_products = searching("product", lambda call: call.account.records.get("product", {}).values())
