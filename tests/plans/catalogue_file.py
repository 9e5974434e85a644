"""A catalogue that a test writes."""

from pathlib import Path

from app.plans import (
    Catalogue,
    load_catalogue,
)

FEATURES = """
[features]
projects = { kind = "allocated" }
calls = { kind = "consumable", reset = "month" }
tier = { kind = "static" }
sso = { kind = "boolean" }
"""


def load(file: Path, text: str) -> Catalogue:
    file.write_text(text)
    return load_catalogue(file)
