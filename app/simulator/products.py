"""Products."""

from .shapes import Json


def new_product(id: str, created: int, name: str | None = None) -> Json:
    """A product with nothing but its name, or one that follows from its id."""
    return {
        "id": id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name or id.removeprefix("prod_").replace("_", " ").capitalize(),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }
