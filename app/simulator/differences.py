"""What differs between two renderings of one object."""

from .shapes import Json


def difference(before: Json, after: Json) -> Json:
    """`previous_attributes`: nested hashes hold only what changed, arrays are whole, absent is null."""
    changed: Json = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        nested = isinstance(old, dict) and isinstance(new, dict)
        changed[key] = difference(old, new) if nested else old  # type: ignore[arg-type]
    return changed
