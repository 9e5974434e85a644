"""An application whose durable receiver notes each reaction in a file."""

import asyncio
import os
from pathlib import Path

from app.main import create_app
from app.signals import Reaction, durable, subscription_activated, subscription_changed

NOTES = Path(os.environ["NOTES"])


async def note(reaction: Reaction) -> None:
    await asyncio.sleep(0.005)  # so that kills fall between the call and its end, too
    with NOTES.open("a") as file:  # noqa: ASYNC230  # as its own kind: what blocks is what is killed
        file.write(f"{reaction.id}\n")


for signal in (subscription_activated, subscription_changed):
    durable(signal, note, name="note")

app = create_app()
