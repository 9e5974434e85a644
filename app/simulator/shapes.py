"""The two API versions that are rendered, and the JSON they are rendered to."""

from typing import Any, Literal

Shape = Literal["2024-06-20", "2026-10-28.endive"]
OLD: Shape = "2024-06-20"
NEW: Shape = "2026-10-28.endive"

Json = dict[str, Any]

NESTED = 10
"""How many entries of a nested list an object shows ("Pagination")."""
