"""A receiver in Node verifies an outbound webhook with the official library."""

import asyncio
import os
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from app.config.webhook_destinations import Destination, new_secret
from app.reactions.webhooks import Sender
from app.signals import Reaction

from ..simulator.test_official_node import SESSION_SECONDS, library

SCRIPT = Path(__file__).with_name("receiver.mjs")

pytestmark = pytest.mark.long


async def test_the_official_library_of_node_verifies_a_message_and_refuses_a_forged_one(
    tmp_path: Path,
) -> None:
    node = await library(tmp_path, "standardwebhooks")
    (tmp_path / SCRIPT.name).write_text(SCRIPT.read_text())
    secret = new_secret()
    receiver = await asyncio.create_subprocess_exec(
        node,
        SCRIPT.name,
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env=os.environ | {"SECRET": secret},
    )
    assert receiver.stdout is not None
    try:
        async with asyncio.timeout(SESSION_SECONDS):
            port = int(await receiver.stdout.readline())
            url = SecretStr(f"http://127.0.0.1:{port}/hooks")
            sender = Sender(
                Destination(url, (SecretStr(new_secret()), SecretStr(secret))), allow_private=True
            )
            facts = {"user_id": "ada", "plan": "team", "note": "“ünïcode”"}
            reaction = Reaction(
                "entitlements_changed:ada:1", "entitlements_changed", 1_893_456_000, facts=facts
            )
            await sender(reaction)
            sender.close()
            found = orjson.loads(await receiver.stdout.readline())
            await receiver.wait()
    finally:
        if receiver.returncode is None:
            receiver.kill()
            await receiver.wait()
    assert found["verified"]["data"] == facts and found["id"].startswith("msg_")
    assert found["refused"] == "WebhookVerificationError" and "forged" not in found
