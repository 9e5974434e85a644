"""A process that uses `api_calls` one by one in several threads, until the limit is reached or it is killed.

`python -m tests.take_thresholds URL PLANS SEED`. It prints a line when it has begun.
"""

import random
import sys
import threading
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import limits

THREADS = 32
"""Writers, each with a connection of its own."""


def use(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    while True:
        try:
            with Session(engine) as session:
                limits.consume(session, "ada", "api_calls")
                if chance.random() < 0.2:
                    session.rollback()
                else:
                    session.commit()
        except limits.LimitExceeded:
            return
        except OperationalError:
            pass  # a SQLite file that others have locked for too long


def main(url: str, plans: str, seed: int) -> None:
    limits.use_catalogue(Path(plans))
    engine = create_engine(url, pool_size=THREADS)
    threads = [threading.Thread(target=use, args=(engine, seed + number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
