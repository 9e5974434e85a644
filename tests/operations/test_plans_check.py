"""What a new plan catalogue would change for whom: the same as asking for every user with both catalogues."""

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from app.db import Database, open_database
from app.db.models import Override, Usage, table_of
from app.entitlements import Entitlements
from app.errors import InvalidRequest
from app.limits import Limits
from app.limits.bulk import user_pages
from app.operations.plans_check import PlansCheck, UserChange, check_plans
from app.plans import Catalogue
from app.plans.values import EMPTY, strength

from ..plans.catalogue_file import load
from ..properties.histories import random_world
from ..properties.test_meaning import clock, deliver, serving
from ..properties.world import NOW
from .random_catalogues import COUNTED, FEATURES, random_catalogue

pytestmark = pytest.mark.postgresql_in_long

Found = set[tuple[str, str, str]]
"""User, feature and change."""
AMOUNTS = (0, 1, 4, 60, 5000)


async def filled(url: str, catalogue: Catalogue, rng: random.Random, worlds: int) -> Database:
    """A database with the users of so many random histories, with overrides and usage."""
    users: list[str] = [f"guest{number}" for number in range(worlds)]
    async with serving(url, catalogue) as (inbox, _):
        for seed in range(worlds):
            world = random_world(rng.randrange(10**6))
            users += world.users
            await deliver(inbox, world, random.Random(seed))
    database = open_database(url)
    async with database.session() as session:
        connection = await session.connection()
        for user in users:
            for feature in FEATURES:
                if rng.random() < 0.1:
                    await connection.execute(table_of(Override).insert(), override(rng, user, feature))
                if feature in COUNTED and rng.random() < 0.5:
                    await connection.execute(table_of(Usage).insert(), usage(rng, user, feature))
    return database


def override(rng: random.Random, user: str, feature: str) -> dict[str, Any]:
    value: Any = {"sso": True, "tier": "gold"}.get(feature, rng.choice((0, 7, "unlimited")))
    ends = rng.choice((None, NOW - 1, NOW + 100))
    row = {"user_id": user, "feature": feature, "op": "set", "value": value, "expires_at": ends}
    return row | {"created_at": NOW - 100, "reason": None, "actor": "test"}


def usage(rng: random.Random, user: str, feature: str) -> dict[str, Any]:
    held = [{"id": "res_1", "amount": 2, "expires_at": NOW + rng.choice((-5, 5))}]
    row: dict[str, Any] = {"user_id": user, "feature": feature, "used": rng.choice(AMOUNTS)}
    start = 0 if feature == "projects" else NOW - rng.choice((10, 20 * 86_400, 90 * 86_400))
    holds = held if rng.random() < 0.3 else []
    return row | {"holds": holds, "period_start": start, "period_end": NOW + 100, "updated_at": NOW}


async def checked(
    database: Database, live: Catalogue, new: Catalogue, **options: Any
) -> tuple[PlansCheck, list[UserChange]]:
    changes: list[UserChange] = []
    found = await check_plans(database, live, new, NOW, on_change=changes.append, **options)
    return found, changes


async def expected(database: Database, users: Sequence[str], live: Catalogue, new: Catalogue) -> Found:
    """Every user asked one by one, by both catalogues."""
    found: Found = set()
    for user in users:
        before = await Limits(database, live, clock).load(user)
        after = await Limits(database, new, clock).load(user)
        for feature in {*live.features, *new.features}:
            found |= {(user, feature, change) for change in differences(before, after, feature)}
    return found


def differences(before: Entitlements, after: Entitlements, feature: str) -> set[str]:
    type = (before.catalogue.features.get(feature) or after.catalogue.features[feature]).type
    was, now = (
        each.features[feature].value if feature in each.features else EMPTY[type] for each in (before, after)
    )
    found = set()
    if strength(now) < strength(was) or (was and now and isinstance(was, str) and was != now):
        found.add("lose")
    passable, still = (
        feature in each.features and each.feature(feature).soft and each.limit(feature) != 0
        for each in (before, after)
    )
    if passable and not still and now is not None:
        found.add("lose")
    if not found and (strength(now) > strength(was) or (still and not passable and was is not None)):
        found.add("gain")
    if feature in after.features and after.feature(feature).kind in ("allocated", "consumable"):
        limit = after.feature(feature)
        if not (limit.soft and limit.limit) and limit.limit is not None:
            found |= {"over"} if after.look(feature).used > limit.limit else set()
    return found


@pytest.mark.parametrize(
    ("worlds", "catalogues"),
    [pytest.param(3, 5, marks=pytest.mark.long), pytest.param(6, 500, marks=pytest.mark.deep)],
    ids=["5 catalogues", "500 catalogues"],
)
async def test_the_users_are_those_whose_live_answers_differ(
    database_url: str, tmp_path: Path, worlds: int, catalogues: int
) -> None:
    rng = random.Random(7)
    live = random_catalogue(rng, tmp_path / "live.toml")
    database = await filled(database_url, live, rng, worlds)
    users = [each.user_id async for page in user_pages(database, {}, 3) for each in page]
    assert len(users) >= worlds * 2
    seen: set[str] = set()
    for number in range(catalogues):
        new = random_catalogue(rng, tmp_path / "new.toml")
        found, changes = await checked(database, live, new)
        told = {(each.user_id, each.feature, each.change) for each in changes}
        assert told == await expected(database, users, live, new), number
        assert (len(told), found.users) == (len(changes), len(users))
        assert found.changed == len({user for user, _, _ in told})
        seen |= {change for _, _, change in told}
        live = new if rng.random() < 0.3 else live
    assert seen == {"gain", "lose", "over"}
    await database.close()


async def test_pages_have_every_user_once_and_all_that_is_read_of_one(
    database_url: str, tmp_path: Path
) -> None:
    rng = random.Random(3)
    live = random_catalogue(rng, tmp_path / "live.toml")
    database = await filled(database_url, live, rng, 2)
    by_size = [
        [
            (each.user_id, len(each.subscriptions), len(each.customers), len(each.overrides), len(each.usage))
            async for page in user_pages(database, {}, size)
            for each in page
        ]
        for size in (1, 3, 1000)
    ]
    assert by_size[0] == by_size[1] == by_size[2]
    assert [user for user, *_ in by_size[0]] == sorted({user for user, *_ in by_size[0]})
    await database.close()


async def test_the_database_refuses_a_write_while_catalogues_are_compared(database_url: str) -> None:
    database = open_database(database_url)
    insert = table_of(Usage).insert().values(usage(random.Random(1), "ada", "projects"))
    with pytest.raises((OperationalError, DBAPIError), match=r"read-?only"):
        async with database.read_only() as session:
            await (await session.connection()).execute(insert)
    async with database.session() as session:  # the pooled connection writes again
        await (await session.connection()).execute(insert)
    await database.close()


async def test_a_check_leaves_a_sqlite_file_as_it_is(sqlite_database: str, tmp_path: Path) -> None:
    rng = random.Random(5)
    live = random_catalogue(rng, tmp_path / "live.toml")
    database = await filled(sqlite_database, live, rng, 1)
    watcher = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))
    before = watcher.execute("PRAGMA data_version").fetchone()
    await checked(database, live, random_catalogue(rng, tmp_path / "new.toml"))
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    watcher.close()
    await database.close()


LIVE = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
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
[addons.more]
prices = ["price_more_m", "price_more_y"]
projects = 50
"""


async def payers_of(database: Database, catalogue: Catalogue, users: Sequence[str]) -> list[str]:
    found = [await Limits(database, catalogue, clock).load(user) for user in users]
    return [each.user_id for each in found if each.access != "none"]


async def test_only_losses_of_payers_that_are_not_allowed_stop_a_deploy(
    database_url: str, tmp_path: Path
) -> None:
    live = load(tmp_path / "live.toml", LIVE)
    database = await filled(database_url, live, random.Random(11), 3)
    users = [each.user_id async for page in user_pages(database, {}) for each in page]
    payers = await payers_of(database, live, users)
    assert payers

    fewer = load(tmp_path / "new.toml", LIVE.replace("projects = 3", "projects = 2"))
    found, changes = await checked(database, live, fewer)
    assert {each.change for each in changes} >= {"lose"}
    assert (found.is_fine, any(each.payer for each in changes if each.change == "lose")) == (True, False)

    less = LIVE.replace("projects = 100", "projects = 99").replace("projects = 20", "projects = 19")
    lower = load(tmp_path / "new.toml", less)
    found, changes = await checked(database, live, lower)
    losing = {each.user_id for each in changes if each.blocks}
    assert losing
    assert losing <= set(payers)
    assert (found.is_fine, found.blocking) == (False, len(losing))
    assert (await checked(database, live, lower, allow=["projects"]))[0].is_fine
    assert (await checked(database, live, lower, allow=["pro", "team"]))[0].is_fine
    assert not (await checked(database, live, lower, allow=["sso"]))[0].is_fine
    with pytest.raises(InvalidRequest, match="--allow prjects"):
        await checked(database, live, lower, allow=["prjects"])
    await database.close()


async def test_a_price_in_use_that_nothing_lists_stops_a_deploy(database_url: str, tmp_path: Path) -> None:
    live = load(tmp_path / "live.toml", LIVE)
    database = await filled(database_url, live, random.Random(11), 6)
    dropped = LIVE.replace('"price_team_m", ', "").replace('"price_pro_m", ', "")
    without = load(tmp_path / "new.toml", dropped)
    found, _ = await checked(database, live, without, allow=["projects", "sso"])
    assert (found.blocking, found.is_fine) == (0, False)
    assert {each.id for each in found.unmapped} <= {"price_team_m", "price_pro_m"}
    assert all(each.is_new and each.subscriptions for each in found.unmapped)
    ignored = dropped + '[ignored]\nprices = ["price_team_m", "price_pro_m"]\n'
    found, _ = await checked(database, live, load(tmp_path / "new.toml", ignored), allow=["projects", "sso"])
    assert found.is_fine
    await database.close()
