"""When a failed event is tried again."""

import random

MINUTE, HOUR, DAY = 60, 3600, 86_400
BACKOFF_SECONDS = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
"""After each attempt; from the last one on, always that."""
GIVE_UP_SECONDS = 3 * DAY
JITTER = 0.1


def next_attempt_at(attempts: int, failing_since: int, now: int, rng: random.Random) -> int | None:
    """When an event is due that has failed `attempts` times (1 or more); None to give up. Unix seconds.

    Events that failed together are spread a little, so that they do not all come back together.
    """
    if now - failing_since >= GIVE_UP_SECONDS:
        return None
    wait = BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1]
    return now + round(wait * (1 + rng.uniform(0, JITTER)))
