"""A promise that the application breaks, and the line of its code to look at."""

from ..trace import Place, Step, Trace

CALLS = ("consume", "consume_many", "Hold.commit", "transfer")
"""The calls that use an amount, guarded by the limit."""


class BrokenPromise(Exception):
    """What the application did, why, and where to look. Fails the test."""

    def __init__(self, what: str, why: str = "", place: Place | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.place = place

    def __str__(self) -> str:
        lines = [self.what, self.why, f"Look at {self.place}." if self.place else ""]
        return "\n".join(line for line in lines if line)


class NotApplicable(Exception):
    """The application gives no occasion to test the promise. Skips the test, and says why."""


def creation_broken(what: str, trace: Trace) -> BrokenPromise:
    """A creation broke a promise: why, by what the request did."""
    guards = trace.calls(*CALLS)
    if not guards:
        return _without_guard(what, trace)
    stored = trace.own_writes()
    place = next((step.place for step in guards if step.place), None) or trace.of_endpoint()
    return BrokenPromise(what, _why_guarded(guards[-1], stored, trace), place)


def _without_guard(what: str, trace: Trace) -> BrokenPromise:
    stored = next((step.place for step in trace.own_writes() if step.place), None) or trace.of_endpoint()
    if found := trace.calls("set_usage"):
        why = "limits.set_usage writes what was counted and checks no limit. Call limits.consume instead."
        return BrokenPromise(what, why, found[0].place or stored)
    if found := trace.calls("load"):
        why = (
            "limits.load gives a snapshot that may be seconds old, and nothing is consumed. Call "
            "limits.consume in the transaction that stores the row."
        )
        return BrokenPromise(what, why, found[0].place or stored)
    why = "The request calls no limits.consume. Call it in the transaction that stores the row."
    return BrokenPromise(what, why, stored)


def _why_guarded(guard: Step, stored: list[Step], trace: Trace) -> str:
    name = f"limits.{guard.name}" if guard.name != "Hold.commit" else "hold.commit"
    if not stored:
        return f"{name} is called there."
    kept = stored[-1].transaction
    committed = [
        n for n, step in enumerate(trace.steps) if step.kind == "commit" and step.transaction is kept
    ]
    if committed and trace.steps.index(guard) > committed[0]:
        return f"{name} is called after the row was committed. Call it before, with the same session."
    counted = [step.transaction for step in trace.steps if step.is_usage]
    if counted and all(transaction is not kept for transaction in counted):
        return f"{name} works in another transaction than the one that stores the row. Pass it that session."
    return f"{name} is called there; check that its denial and its transaction decide over the row."


def denial_broken(what: str, trace: Trace) -> BrokenPromise:
    """A creation was denied that the plan allows."""
    asked = [step for step in trace.calls(*CALLS, "reserve", "load") if step.place]
    if not asked:
        why = (
            "The request asked the limits nothing: it was refused by an answer that the application "
            "keeps, or for another reason. Then check the request that the adapter sends."
        )
        return BrokenPromise(what, why, trace.of_error() or trace.of_endpoint())
    return BrokenPromise(what, f"limits.{asked[-1].name} was asked there.", asked[-1].place)


def deletion_broken(what: str, trace: Trace) -> BrokenPromise:
    """A deletion broke a promise: why, by what the request did."""
    deleted = next((step.place for step in trace.own_writes() if step.place), None) or trace.of_endpoint()
    released = [step for step in trace.calls("release", "set_usage", "transfer") if step.place]
    if not released:
        why = "The request calls no limits.release. Call it in the transaction that deletes the row."
        return BrokenPromise(what, why, deleted)
    why = (
        "limits.release is called there. Release only what the transaction has deleted itself, once: "
        "DELETE … RETURNING gives the row to one request alone."
    )
    return BrokenPromise(what, why, released[0].place)


def failed(what: str, trace: Trace) -> BrokenPromise:
    """The application answered with an error of its own."""
    error = f"It raised {type(trace.error).__name__}: {trace.error}" if trace.error else ""
    return BrokenPromise(what, error[:500], trace.of_error() or trace.of_endpoint())
