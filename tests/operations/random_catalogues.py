"""Random plan catalogues for the prices of the random histories."""

import random
from pathlib import Path

from app.plans import Catalogue, load_catalogue

from ..properties.world import PRICES

FEATURES = {
    "projects": ['{ kind = "allocated" }'],
    "seats": ['{ kind = "allocated" }', '{ kind = "consumable", reset = "day" }'],
    "calls": [
        '{ kind = "consumable", reset = "month" }',
        '{ kind = "consumable", reset = "period" }',
        '{ kind = "consumable", reset = "month", anchor = "billing" }',
    ],
    "tier": ['{ kind = "static" }'],
    "sso": ['{ kind = "boolean" }'],
}
COUNTED = ("projects", "seats", "calls")
POLICIES = ("past_due = { grace_days = 30 }", 'paused = "full"', 'expired_active = "none"')


def random_catalogue(rng: random.Random, path: Path) -> Catalogue:
    """A catalogue with most of the features, plans, add-ons and prices that there may be."""
    features = [name for name in FEATURES if rng.random() < 0.9]
    lines = ['default_plan = "free"'] if rng.random() < 0.9 else []
    lines += ["[features]", *(f"{name} = {rng.choice(FEATURES[name])}" for name in features)]
    owners: dict[str, list[str]] = {"pro": [], "team": [], "more": [], "[ignored]": [], "nothing": []}
    for price in PRICES:
        usual = price.split("_")[1]
        owner = usual if rng.random() < 0.8 else rng.choice(list(owners))
        owners[owner].append(f'"{price}"')
    lines += ["[plans.free]", *_limits(rng, features, per_unit=False)]
    for plan in rng.sample(("pro", "team"), 2):
        lines += [f"[plans.{plan}]", f"prices = [{', '.join(owners[plan])}]"]
        lines += _limits(rng, features, per_unit=rng.random() < 0.5)
        if "projects" in features and rng.random() < 0.5:
            lines += [f"[plans.{plan}.trial]", f"projects = {rng.choice((2, 40))}"]
    if owners["more"]:
        lines += ["[addons.more]", f"prices = [{', '.join(owners['more'])}]"]
        lines += [f"{name} = {rng.choice((5, 50))}" for name in features if name in COUNTED]
    lines += ["[ignored]", f"prices = [{', '.join(owners['[ignored]'])}]"]
    lines += ["[access]", *rng.sample(POLICIES, rng.randint(0, 2))]
    path.write_text("\n".join(lines))
    return load_catalogue(path)


def _limits(rng: random.Random, features: list[str], *, per_unit: bool) -> list[str]:
    found = []
    for name in features:
        if rng.random() < 0.2:
            continue
        if name == "sso":
            found.append(f"{name} = {rng.choice(('true', 'false'))}")
        elif name == "tier":
            found.append(f'{name} = "{rng.choice(("silver", "gold"))}"')
        else:
            limit = rng.choice((1, 3, 10, 100, '"unlimited"'))
            options = ", per_unit = true" if per_unit else ""
            options += ", soft = true" if rng.random() < 0.3 else ""
            found.append(f"{name} = {{ limit = {limit}{options} }}")
    return found
