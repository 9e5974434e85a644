"""What the users of a random world must have: told from its state alone, apart from the service."""

from collections import defaultdict
from dataclasses import dataclass

from ..story import DAY, YEAR
from .world import NOW, PRICES, Bought, Life, World

WEEK = 7 * DAY
PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated" }
seats = { kind = "allocated" }
sso = { kind = "boolean" }

[plans.free]
projects = 3

[plans.pro]
prices = ["price_pro_m", "price_pro_y"]
projects = 100
sso = true

[plans.team]
prices = ["price_team_m", "price_team_y"]
projects = 20
seats = { limit = 1, per_unit = true }

[addons.more]
prices = ["price_more_m", "price_more_y"]
projects = 50

[access]
pause_collection = { void = "none" }
"""
RANK = {"pro": 1, "team": 2}
PROJECTS = {"pro": 100, "team": 20}


@dataclass(frozen=True)
class Expected:
    """What one user has."""

    plan: str
    access: str
    grace_ends_at: int | None
    projects: int
    seats: int
    sso: bool


def expected(world: World) -> dict[str, Expected]:
    """What each user of the world has at NOW."""
    theirs: dict[str, list[Life]] = defaultdict(list)
    for life in world.lives:
        theirs[_owner(life)].append(life)
    return {user: _of(theirs[user]) for user in world.users}


def _owner(life: Life) -> str:
    if life.named_user is not None:
        return life.named_user
    if life.session_user is not None and not life.ever_named:
        return life.session_user
    return life.customer.user


def _of(lives: list[Life]) -> Expected:
    granting = [life for life in lives if level(life) != "none"]
    bought = [each for life in granting for each in life.items]
    plans = {_plan(each) for each in bought} - {None}
    more = sum(50 * each.quantity for each in bought if _plan(each) is None)
    best = max((PROJECTS[plan] for plan in plans if plan), default=3)
    main = max((plan for plan in plans if plan), key=RANK.__getitem__, default=None)
    main_lives = [life for life in granting if main in {_plan(each) for each in life.items}]
    levels = {level(life) for life in main_lives}
    access = "none" if not levels else "full" if "full" in levels else "grace"
    due = [_grace_ends_at(life) for life in main_lives if level(life) == "grace"]
    return Expected(
        plan=main or "free",
        access=access,
        grace_ends_at=None if access != "grace" or len(due) != 1 else due[0],
        projects=best + more,
        seats=sum(each.quantity for each in bought if _plan(each) == "team"),
        sso="pro" in plans,
    )


def _grace_ends_at(life: Life) -> int:
    """A week after it became past due, and never beyond the end that was asked for."""
    assert life.past_due_since is not None
    ends = [each.end for each in life.items] if life.ends_with_period else []
    return min([life.past_due_since + WEEK, *ends])


def level(life: Life) -> str:
    """What one subscription grants at NOW."""
    if life.collection == "void":
        return "none"
    if life.ends_with_period and life.status != "canceled" and min(each.end for each in life.items) <= NOW:
        return "none"
    if life.status in ("active", "trialing"):
        return "full" if _main(life).end + WEEK > NOW else "none"
    if life.status == "past_due" and life.past_due_since is not None:
        return "grace" if life.past_due_since + WEEK > NOW else "none"
    return "none"


def _main(life: Life) -> Bought:
    """The item of the highest plan, then the longest interval, the greatest quantity, the id."""
    planned = [each for each in life.items if _plan(each) is not None]
    return max(
        planned,
        key=lambda each: (
            RANK[_plan(each) or ""],
            PRICES[each.price] == YEAR,
            each.quantity,
            each.id,
        ),
    )


def _plan(each: Bought) -> str | None:
    name = each.price.split("_")[1]
    return None if name == "more" else name
