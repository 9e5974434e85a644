"""When a failed event is tried again, and whether a moment has come on a clock that may jump."""

import random

MINUTE, HOUR, DAY = 60, 3600, 86_400
BACKOFF_SECONDS = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
"""After each attempt; from the last one on, always that."""
GIVE_UP_SECONDS = 3 * DAY
GIVE_UP_ATTEMPTS = 4
"""So often it is tried at least: a clock that jumps ahead, or a process that was down, ends nothing."""
LONGEST_WAIT_SECONDS = 2 * DAY
"""Nothing is due later than that: what is was stored by a clock that has been set back since."""
JITTER = 0.1


def next_attempt_at(attempts: int, failing_since: int, now: int, rng: random.Random) -> int | None:
    """When an event is due that has failed `attempts` times (1 or more); None to give up. Unix seconds.

    Events that failed together are spread a little, so that they do not all come back together.
    """
    if now - failing_since >= GIVE_UP_SECONDS and attempts >= GIVE_UP_ATTEMPTS:
        return None
    wait = BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1]
    return now + round(wait * (1 + rng.uniform(0, JITTER)))


def has_come(moment: float, now: float, *, within: float = LONGEST_WAIT_SECONDS) -> bool:
    """Whether a moment has come that was at most `within` seconds ahead when it was set. Unix seconds.

    One that is further ahead than that was set before the clock went back.
    """
    return moment <= now or moment > now + within
