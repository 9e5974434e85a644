"""What is promised under concurrency, failures and repetition."""

from . import acts
from .broken import BrokenPromise, NotApplicable, creation_broken, deletion_broken
from .tiers import Tiers
from .user import Outcome, State, User

AT_ONCE = 32
LEFT = 3
"""How many of the limit are left when the creations start."""
DELETIONS = 8
MOST_COMMITS = 10
"""A request with more commits is not followed to its end."""
HOUR = 3600


async def concurrent_creations(user: User, tiers: Tiers) -> None:
    """Of 32 creations at the same moment as many succeed as the limit has left, and each is counted."""
    limited = tiers.limited
    await user.subscribe(limited, ago=HOUR)
    left = min(LEFT, limited.things)
    await acts.fill(user, limited, leave=left, when="Before the concurrent creations")
    before = await user.look()
    outcomes = await user.create_at_once(AT_ONCE)
    after = await user.look()
    created = [each for each in outcomes if each.succeeded]
    seen = (created or outcomes)[-1].trace
    what = f"{AT_ONCE} creations at the same moment, with {left} left of the limit: "
    things = after.things - before.things
    if things > left:
        raise creation_broken(f"{what}there are {things} more.", seen)
    if after.used - before.used != things:
        raise creation_broken(f"{what}{things} more, and usage changed by {after.used - before.used}.", seen)
    if len(created) != things:
        raise creation_broken(f"{what}{len(created)} were answered as created, and {things} are there.", seen)
    if things < left and not any(each.is_busy for each in outcomes):
        raise creation_broken(f"{what}only {things} were created, and the others denied.", seen)


async def rollback(user: User, tiers: Tiers) -> None:
    """Where the application's transaction fails, its row and its usage are lost together."""
    await user.subscribe(tiers.paid, ago=HOUR)
    await acts.create(user, "Before the failures")
    interrupted = 0
    for commit in range(1, MOST_COMMITS):
        before = await user.look()
        outcome = await user.create(fail_from=commit)
        after = await user.look()
        if not outcome.trace.was_interrupted:
            break
        interrupted += 1
        if not _moved_together(before, after):
            raise creation_broken(_of_failure("creation", commit, before, after), outcome.trace)
    for commit in range(1, MOST_COMMITS):
        if not user.things:
            break
        before = await user.look()
        outcome = await user.delete(user.things[-1], fail_from=commit)
        after = await user.look()
        if not outcome.trace.was_interrupted:
            break
        if not _moved_together(before, after):
            raise deletion_broken(_of_failure("deletion", commit, before, after), outcome.trace)
        if after.things < before.things:
            user.things.pop()
    if not interrupted:
        raise NotApplicable("A creation commits nothing with SQLAlchemy, so nothing can be made to fail.")


def _moved_together(before: State, after: State) -> bool:
    return after.used - before.used == after.things - before.things


def _of_failure(what: str, commit: int, before: State, after: State) -> str:
    return (
        f"A {what} whose transaction fails at its commit ({commit}. of the request): the number of things "
        f"changed by {after.things - before.things}, and usage by {after.used - before.used}."
    )


async def repeated_deletes(user: User, tiers: Tiers) -> None:
    """A thing that is deleted many times, at once, again or by another user, is released once."""
    other = await user.another()
    for each in (user, other):
        await each.subscribe(tiers.paid, ago=HOUR)
        for _ in range(min(3, tiers.paid.things)):
            await acts.create(each, "Before the deletions")
    gone = user.things.pop()
    before = await user.look()
    _judge(
        await user.delete_at_once(gone, DELETIONS),
        before,
        await user.look(),
        f"{DELETIONS} deletions at once",
    )
    for when in ("Deleted once more", "Deleted a third time"):
        before = await user.look()
        _judge([await user.delete(gone)], before, await user.look(), when)
    kept = user.things[-1] if user.things else gone
    mine, theirs = await user.look(), await other.look()
    outcome = [await other.delete(kept)]
    _judge(outcome, mine, await user.look(), "Deleted by another user, the owner's")
    _judge(outcome, theirs, await other.look(), "Deleted by another user, the other's")
    await acts.create(user, "After the deletions")


def _judge(outcomes: list[Outcome], before: State, after: State, when: str) -> None:
    if not _moved_together(before, after):
        seen = next((each for each in outcomes if each.trace.calls("release")), outcomes[0])
        acts.check_released(before, after, seen.trace, when)
    if outcomes and when.startswith(str(DELETIONS)) and after.things != before.things - 1:
        raise BrokenPromise(
            f"{when}: {before.things - after.things} things are gone, and one was deleted.",
            place=outcomes[0].trace.of_endpoint(),
        )
