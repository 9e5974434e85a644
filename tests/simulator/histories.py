"""Random histories, and what is known of objects without asking the service."""

import random
from typing import Any

from app.simulator import Account, random_history

Json = dict[str, Any]


def history(seed: int, *, steps: int = 60, twice: float = 0.1) -> Account:
    account = Account(seed)
    random_history(account, random.Random(seed), customers=3, steps=steps, twice=twice)
    return account


def put_back(content: Json, previous: Json) -> Json:
    """The object as it was, by Stripe's description of `previous_attributes`."""
    merged = dict(content)
    for key, value in previous.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = put_back(merged[key], value) if nested else value
    return merged


def without_nulls(value: Any) -> Any:
    """Null and absent are the same."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
