"""The parameters that Stripe's API knows, by the official library that is installed.

A parameter that Stripe knows and the simulator does not play is refused in other words than a misspelt one.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from stripe import RequestOptions

GROUPS = ("checkout", "billing_portal", "test_helpers")
"""Paths whose first part is a folder of the library."""

ACTIONS = {
    "finalize": "finalize_invoice",
    "lines": "line_item_list",
    "line_items": "list_line_items",
    "send": "send_invoice",
    "void": "void_invoice",
}
"""Last parts of paths that the library calls otherwise; others are called as they are."""

SUBRESOURCES = ("tax_ids", "payment_methods", "balance_transactions")
METHODS = {
    ("POST", False): "create",
    ("POST", True): "update",
    ("GET", False): "list",
    ("GET", True): "retrieve",
    ("DELETE", True): "delete",
}
"""What a request does, by its method and whether its path ends with an id."""

KINDS = ("bool", "int", "float")


@dataclass(frozen=True)
class Declaration:
    """A hash of parameters as the library declares it."""

    module: ModuleType
    fields: dict[str, str]
    """The type of each parameter, as Python writes it."""

    def inner(self, name: str) -> "Declaration | None":
        """The hash, or the hash of each entry, that a parameter is; None where it is neither."""
        for part in re.findall(r"\w+Params\w+", self.fields.get(name, "")):
            if hasattr(self.module, part):
                return _declaration(self.module, part)
        return None

    def kind(self, name: str) -> str:
        """`bool`, `int`, `float`, or `str` for everything else."""
        words = re.findall(r"\w+", re.sub(r"Literal\[[^]]*\]", "", self.fields.get(name, "")))
        return next((kind for kind in KINDS if kind in words), "str")


def declares(method: str, route: str, param: str) -> bool:
    """Whether Stripe knows a parameter, `items[0][price]` say, of the request to this route."""
    declaration = declaration_of(method, route)
    for part in re.findall(r"[^\[\]]+", param):
        if declaration is None:
            return False
        if part.isdecimal() and part not in declaration.fields:
            continue  # the number of a list's entry
        if part not in declaration.fields:
            return False
        found, declaration = declaration, declaration.inner(part)
        assert found
    return True


@cache
def declaration_of(method: str, route: str) -> Declaration | None:
    """None where the installed library has no such operation."""
    folder, operation = _operation(method, route)
    try:
        module = import_module(f"stripe.params.{folder}_{operation}_params")
    except ImportError:
        return None
    name = "".join(part.capitalize() for part in operation.split("_"))
    return _declaration(module, f"{name}Params") if hasattr(module, f"{name}Params") else None


def _operation(method: str, route: str) -> tuple[str, str]:
    """The folder, and the name of an operation: `("", "invoice_finalize_invoice")`."""
    parts = route.strip("/").split("/")[1:]
    folder = f"{parts.pop(0)}." if parts[0] in GROUPS else ""
    noun, rest = _singular(parts[0]), parts[1:]
    if rest and rest[0] == "{id}" and len(rest) > 1 and rest[1] in SUBRESOURCES:
        noun, rest = f"{noun}_{_singular(rest[1])}", rest[2:]
    words = [part for part in rest if part != "{id}"]
    if method == "DELETE" and words == ["discount"]:
        return folder, f"{noun}_delete_discount"
    if words:
        return folder, f"{noun}_{ACTIONS.get(words[-1], words[-1])}"
    if (method, noun) == ("DELETE", "subscription"):
        return folder, "subscription_cancel"
    return folder, f"{noun}_{METHODS.get((method, bool(rest)), method.lower())}"


def _singular(noun: str) -> str:
    return {"invoiceitems": "invoice_item"}.get(noun, noun.removesuffix("s"))


@cache
def _declaration(module: ModuleType, name: str) -> Declaration:
    fields: dict[str, str] = {}
    found: Any = getattr(module, name)
    for one in reversed(found.__mro__ if hasattr(found, "__mro__") else (found,)):
        fields |= {key: repr(value) for key, value in getattr(one, "__annotations__", {}).items()}
    of_request = RequestOptions.__annotations__  # the library's own, in the same dictionary
    return Declaration(module, {key: value for key, value in fields.items() if key not in of_request})
