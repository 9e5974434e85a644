"""Single acts of a user, each checked: what must be so after a creation, a denial and a deletion."""

from ...formatting import counted
from ..trace import Trace
from .broken import CALLS, BrokenPromise, creation_broken, deletion_broken, denial_broken, failed
from .tiers import Tier
from .user import MOST_CREATED, Outcome, State, User


async def create(user: User, when: str) -> bool:
    """Try to create one thing; whether it was allowed. `when` says in the report what went before.

    Raises:
        BrokenPromise: when the application did not do what the service says, or counted it wrongly.
    """
    before = await user.known()
    outcome = await user.create()
    after = await user.look()
    _check_answer(outcome, before, after, when)
    if outcome.succeeded and after.things != before.things + 1:
        what = f"{when}: a creation succeeded, and count() says {after.things} after {before.things}."
        raise BrokenPromise(what, "Look at what the adapter counts.", user.place_of_adapter())
    _check_counted(outcome, before, after, when)
    return outcome.succeeded


def _check_answer(outcome: Outcome, before: State, after: State, when: str) -> None:
    if outcome.failed:
        expected = "create one more" if before.may_create else f"be denied ({before.reason})"
        kept = (
            f", and {counted(after.things - before.things, 'row')} stayed"
            if after.things > before.things
            else ""
        )
        what = f"{when}: the user must {expected}, and the application answered {outcome.answer}{kept}."
        if after.things > before.things:
            raise creation_broken(what, outcome.trace)
        raise failed(what, outcome.trace)
    if before.may_create and not outcome.succeeded:
        what = f"{when}: the plan allows one more, and the application denied it with {outcome.answer}."
        raise denial_broken(what, outcome.trace)
    if not before.may_create and outcome.succeeded:
        what = f"{when}: one more is not allowed ({before.reason}), and the application created it."
        raise creation_broken(what, outcome.trace)
    if not outcome.succeeded and after.things != before.things:
        what = f"{when}: the creation was denied with {outcome.answer}, and the thing is there all the same."
        raise creation_broken(what, outcome.trace)


def _check_counted(outcome: Outcome, before: State, after: State, when: str) -> None:
    used, things = after.used - before.used, after.things - before.things
    if used != things:
        what = f"{when}: {counted(things, 'thing')} more, and usage changed by {used}."
        raise creation_broken(what, outcome.trace)
    if outcome.succeeded and not outcome.trace.calls(*CALLS):
        raise creation_broken(f"{when}: one thing was created without being consumed.", outcome.trace)


async def delete(user: User, when: str) -> None:
    """Delete the user's newest thing, which must always be possible.

    Raises:
        BrokenPromise: when it is not deleted, or not released.
    """
    before = await user.known()
    outcome = await user.delete(user.things[-1])
    after = await user.look()
    if not outcome.succeeded or after.things != before.things - 1:
        what = f"{when}: a thing must be deleted, and the application answered {outcome.answer}; "
        what += f"count() says {after.things} after {before.things}."
        raise failed(what, outcome.trace)
    user.things.pop()
    check_released(before, after, outcome.trace, when)


def check_released(before: State, after: State, trace: Trace, when: str) -> None:
    """
    Raises:
        BrokenPromise: when usage did not fall as the number of things did.
    """
    used, things = before.used - after.used, before.things - after.things
    if used != things:
        what = f"{when}: {counted(things, 'thing')} fewer, and usage fell by {used}."
        raise deletion_broken(what, trace)


async def fill(user: User, tier: Tier, *, leave: int = 0, extra: int = 0, when: str) -> None:
    """Create things until so many of the limit are left, or `extra` more than it; each must be allowed.

    Raises:
        BrokenPromise: as `create`.
    """
    most = tier.things if tier.is_limited else 0
    if most > MOST_CREATED:
        await user.use_beforehand(most - max(leave, 1) - 1)
        most = max(leave, 1) + 1
    for _ in range(most - leave + extra):
        if not await create(user, when):
            return
