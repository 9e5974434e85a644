"""Mistakes that an application makes with its limits, each as a change of the example's source."""

from .shops import Shop

CREATE = """        project = Project(owner=user, name=name)
        session.add(project)
        decision = await limits.consume(session, user, "projects")
        await session.flush()
        return {"id": project.id, "left": decision.remaining}
"""
DELETE = """        if deleted.first() is not None:
            await limits.release(session, user, "projects")
"""


def creating(name: str, body: str, *more: tuple[str, str]) -> Shop:
    """An application that creates a project in another way; `body` ends with the project stored."""
    return Shop(name, ((CREATE, body + '        return {"id": project.id}\n'), *more))


STORE = """        project = Project(owner=user, name=name)
        session.add(project)
        await session.flush()
"""
MISTAKES = [
    creating("consume_removed", STORE),
    creating(
        "count_then_insert",
        """        owned = await session.exec(select(func.count()).where(Project.owner == user))
        entitlements = await limits.load(user)
        if not entitlements.check("projects", used=owned.one()).allowed:
            raise HTTPException(403)
"""
        + STORE,
    ),
    creating(
        "count_then_insert_and_set",
        """        entitlements = await limits.load(user, session)
    async with service.database.session() as session:
        if not entitlements.check("projects").allowed:
            raise HTTPException(403)
        await limits.set_usage(session, user, "projects", entitlements.look("projects").used + 1)
"""
        + STORE,
    ),
    creating(
        "consume_after_commit",
        STORE
        + """    async with service.database.session() as session:
        await limits.consume(session, user, "projects")
""",
    ),
    creating(
        "consume_after_commit_undone",
        STORE
        + """    try:
        async with service.database.session() as session:
            await limits.consume(session, user, "projects")
    except Exception:
        async with service.database.session() as session:
            undone = delete(Project).where(col(Project.id) == project.id)
            await (await session.connection()).execute(undone)
        raise
    else:
""",
    ),
    creating(
        "consume_in_another_session",
        """        async with service.database.session() as another:
            await limits.consume(another, user, "projects")
"""
        + STORE,
    ),
    creating(
        "consume_before_in_another_session",
        """        await limits.consume(session, user, "projects")
    async with service.database.session() as session:
"""
        + STORE,
    ),
    creating(
        "cached_snapshot",
        """        entitlements = snapshots.get(user) or await limits.load(user)
        snapshots[user] = entitlements
        if not entitlements.check("projects").allowed:
            raise HTTPException(403)
"""
        + STORE,
        ("router = APIRouter()", "router = APIRouter()\nsnapshots: dict[str, limits.Entitlements] = {}"),
    ),
    creating(
        "cached_snapshot_and_count",
        """        entitlements = snapshots.setdefault(user, await limits.load(user))
        owned = await session.exec(select(func.count()).where(Project.owner == user))
        if not entitlements.check("projects", used=owned.one()).allowed:
            raise HTTPException(403)
        try:
            await limits.consume(session, user, "projects")
        except limits.LimitExceeded:
            pass
"""
        + STORE,
        ("router = APIRouter()", "router = APIRouter()\nsnapshots: dict[str, limits.Entitlements] = {}"),
    ),
    creating(
        "denial_ignored",
        """        try:
            await limits.consume(session, user, "projects")
        except limits.LimitExceeded:
            pass
"""
        + STORE,
    ),
    Shop("released_without_proof", ((DELETE, '        await limits.release(session, user, "projects")\n'),)),
    Shop(
        "released_in_another_session",
        (
            (
                DELETE,
                """        if deleted.first() is not None:
            released = True
        else:
            released = False
    if released:
        async with service.database.session() as session:
            await limits.release(session, user, "projects")
""",
            ),
        ),
    ),
    Shop("never_released", ((DELETE, ""),)),
]
CHECKED_BEFORE = """        if await session.get(Project, project_id) is None:
            raise HTTPException(404)
        gone ="""
ON_POSTGRESQL = [
    Shop(
        "released_after_reading",
        (
            (DELETE, '        await limits.release(session, user, "projects")\n'),
            ("        gone = delete(Project)", CHECKED_BEFORE + " delete(Project)"),
        ),
    ),
]
"""Mistakes that SQLite does not show, since it has one writer at a time."""
SYNC_DENIED = "  # denied: 403 with the reason, and no project"
SYNC_CREATE = f"""    decision = limits.consume(session, user, "projects"){SYNC_DENIED}
    session.commit()
    return {{"id": project.id, "left": decision.remaining}}
"""
SYNC_DELETE = """    if session.connection().execute(gone.returning(col(Project.id))).first() is None:
        raise HTTPException(404, "You have no such project.")
"""
SYNC_MISTAKES = [
    Shop(
        "sync_consume_removed",
        ((SYNC_CREATE, '    session.commit()\n    return {"id": project.id}\n'),),
        sync=True,
    ),
    Shop(
        "sync_consume_after_commit",
        (
            (
                SYNC_CREATE,
                '    session.commit()\n    limits.consume(session, user, "projects")\n    session.commit()\n'
                '    return {"id": project.id}\n',
            ),
        ),
        sync=True,
    ),
    Shop(
        "sync_consume_in_another_session",
        (
            (
                SYNC_CREATE,
                '    with Session(engine) as another:\n        limits.consume(another, user, "projects")\n'
                '        another.commit()\n    session.commit()\n    return {"id": project.id}\n',
            ),
        ),
        sync=True,
    ),
    Shop(
        "sync_released_without_proof",
        ((SYNC_DELETE, "    session.connection().execute(gone)\n"),),
        sync=True,
    ),
]
