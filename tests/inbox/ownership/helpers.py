"""Who owns what after each order of the events, for the tests of ownership."""

from ...client import Client
from ..stories import Story


def named(story: Story, user: str) -> dict[str, str]:
    return {"user_id": story.id(user)}


async def plan_of(client: Client, user_id: str) -> str:
    plan: str = (await client.read(f"/internal/users/{user_id}/entitlements"))["plan"]
    return plan
