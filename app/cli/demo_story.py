"""A user of the demo: free, denied, upgraded, past due, canceled. Played against `examples/`."""

import asyncio
import time
from collections.abc import Sequence

import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ..formatting import counted
from ..simulator import DAY, Account, Event, deliver

USER = "story"
Step = tuple[str, str, str]


class Story:
    """The user's requests go to the example application, Stripe's to the webhook of the same server."""

    def __init__(self, url: str, secret: str, client: httpx.Client) -> None:
        self._webhook = f"{url}/webhook/stripe"
        self._secret = secret
        self._client = client
        self._account = Account(11, start=int(time.time()) - 30 * DAY)
        self._delivered = 0
        self.steps: list[Step] = []
        self.as_expected = True

    def play(self) -> bool:
        """Play it; whether every answer was the expected one."""
        for name in ("alpha", "beta", "gamma"):
            self._create(name, "creates a project", 201)
        self._create("delta", "creates a fourth one", 403)
        customer = self._account.create_customer("story@example.com", user_id=USER)
        subscription = self._account.create_subscription(customer, "price_team")
        self._stripe_says("the first payment went through")
        self._create("delta", "creates a fourth one", 201)
        self._account.advance(30 * DAY)
        self._account.renew(subscription, paid=False)
        self._stripe_says("the renewal failed")
        self._create("epsilon", "creates a fifth one, in grace", 201)
        self._account.cancel_now(subscription)
        self._stripe_says("the subscription is canceled")
        self._create("zeta", "creates a sixth one, back on free", 403)
        names = self._client.get("/projects", headers={"X-User": USER}).json()["names"]
        self._add("lists the projects", 200, f"all {len(names)} projects are kept", len(names) == 5)
        return self.as_expected

    def _create(self, name: str, what: str, expected: int) -> None:
        response = self._client.post("/projects", params={"name": name}, headers={"X-User": USER})
        answer = response.json()
        says = answer.get("detail") or f"{'unlimited' if answer['left'] is None else answer['left']} left"
        self._add(what, response.status_code, says, response.status_code == expected)

    def _stripe_says(self, what: str) -> None:
        fresh: Sequence[Event] = self._account.events[self._delivered :]
        self._delivered = len(self._account.events)
        report = asyncio.run(deliver(self._webhook, fresh, self._secret))
        self._add(f"Stripe: {what}", 200, counted(report.sent, "event"), not report.refused)

    def _add(self, what: str, status: int, says: str, as_expected: bool) -> None:
        self.as_expected &= as_expected
        self.steps.append((what, str(status), says if as_expected else f"[red]unexpected: {says}[/]"))


def play_story(console: Console, url: str, secret: str) -> bool:
    """Play the story and show it; whether every answer was the expected one."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        story = Story(url, secret, client)
        played = story.play()
    table = Table(title="A user of the example application", title_justify="left", box=SIMPLE)
    for column in ("step", "answer", ""):
        table.add_column(column, overflow="fold")
    for step in story.steps:
        table.add_row(*step)
    console.print(table)
    return played
