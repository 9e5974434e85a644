"""A process that takes a file of event bodies into a database: `python -m tests.take_in URL FILE`."""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

from app.config import SHIPPED_PLANS
from app.db import open_database
from app.inbox import handlers
from app.inbox.delivery import receive
from app.inbox.inbox import Inbox
from app.observability.logs import join_logging
from app.plans import load_catalogue
from app.reactions.outbox import Outbox

CONCURRENCY = 32


async def main(url: str, bodies: list[str]) -> None:
    join_logging()  # what is printed here is read as the answer
    handlers.connect()
    database = open_database(url)
    inbox = Inbox(
        database,
        catalogue=load_catalogue(SHIPPED_PLANS),
        outbox=Outbox(database, clock=time.time),
        livemode=None,
        clock=time.time,
    )
    inbox.start()
    counts: Counter[str] = Counter()
    queue = iter(bodies)

    async def work() -> None:
        for body in queue:
            outcome = await inbox.accept(receive(body.encode(), signature=None, received_at=1))
            counts[outcome.status] += 1

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    await inbox.stop()
    await database.close()
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
