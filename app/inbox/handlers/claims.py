"""Whose a customer and a subscription are: claims, kept by the object that makes them, and what they come to.

Pure. A claim is `{"user_id", "created", "event_id", "object_id"}`, `created` in Unix seconds. The rules and
their reasons are in `docs/ownership.md`.

A customer's `links` hold at most one claim of each source: `internal` (the internal API linked the customer),
`metadata` (the customer's own), `checkout` (the `client_reference_id` of its first session), `update` (the
internal API claimed one of its subscriptions) and `session` (the metadata of a session that sold no
subscription). `moves` are the internal links in their order, and `base` is what the customer's metadata said
when the first of them was made.

A subscription's `links` hold `internal`, `metadata` (its own, with whether it ever named a user) and
`session` (the metadata of the checkout session that created it, with the condition on which it was opened).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Links = dict[str, Any]
Claim = dict[str, Any]

CUSTOMER_SOURCES = ("internal", "metadata", "checkout", "update", "session")
"""The strongest first."""
MAX_MOVES = 50
"""How many internal links a customer keeps."""
NOTHING: Claim = {"user_id": None, "created": 0, "event_id": "", "object_id": None}


class Owner(NamedTuple):
    """A user, and which claim names it; both None for nobody."""

    user_id: str | None
    source: str | None


NOBODY = Owner(None, None)


def age(claim: Claim) -> tuple[int, str]:
    """Claims of one source are ordered by it; it does not depend on when they arrived."""
    return claim["created"], claim["event_id"]


def owner_of_customer(links: Links) -> Owner:
    """The user that a customer is linked to. An internal link to nobody stands above the other claims."""
    claims = ((source, links[source]) for source in CUSTOMER_SOURCES if source in links)
    source, claim = next(claims, (None, NOTHING))
    return Owner(claim["user_id"], source) if claim["user_id"] is not None else NOBODY


def owner_of_subscription(links: Links, customer: Owner, customer_links: Links) -> Owner:
    """The user of a subscription: its own claims, the strongest first, else its customer's user."""
    own = links.get("metadata", NOTHING)
    sources = ("internal", "metadata") if own.get("named") else ("internal", "metadata", "session")
    for source in sources:
        claim = links.get(source, NOTHING)
        if claim["user_id"] is not None:
            return _moved(source, claim, customer_links)
    if customer.user_id is None:
        return NOBODY
    return Owner(customer.user_id, "checkout" if customer.source == "checkout" else "customer")


def _moved(source: str, claim: Claim, customer_links: Links) -> Owner:
    """The owner after the internal links that were made since the claim: each moves the subscriptions that
    named the user from whom it took the customer."""

    def is_later(move: Claim) -> bool:
        if source == "internal":  # both are ours, so they are counted: a clock could not order them
            return bool(move["number"] > claim["moves"])
        return bool(move["created"] >= claim["created"])

    user_id = _after_moves(claim["user_id"], customer_links, is_later)
    if user_id is None:
        return NOBODY
    return Owner(user_id, source if user_id == claim["user_id"] else "customer")


def _after_moves(user_id: str | None, links: Links, is_later: Callable[[Claim], bool]) -> str | None:
    for move, held_by in _with_holders(links):
        if user_id == held_by and is_later(move):
            user_id = move["user_id"]
    return user_id


def _with_holders(links: Links) -> list[tuple[Claim, str | None]]:
    """Each internal link with the user whom it took the customer from. Where links between were left out
    (`_bounded`), a link says that itself."""
    moves = moves_of(links)
    if not moves:
        return []
    before = [_held_before(links, moves[0]), *(move["user_id"] for move in moves)]
    return [(move, move.get("from", held_by)) for move, held_by in zip(moves, before, strict=False)]


def moves_of(links: Links) -> list[Claim]:
    """The internal links of a customer in their order. An older release stored the last one alone."""
    moves: list[Claim] = links.get("moves", [])
    internal = links.get("internal")
    if internal is None or (moves and moves[-1]["event_id"] == internal["event_id"]):
        return moves
    return [*moves, internal | {"number": moves[-1]["number"] + 1 if moves else 1}]


def _held_before(links: Links, first: Claim) -> str | None:
    """Who held the customer before its first internal link."""
    base = _base(links, first)
    if base["user_id"] is not None:
        return _user_of(base)
    checkout = links.get("checkout", NOTHING)
    if checkout["user_id"] is not None and checkout["created"] <= first["created"]:
        return _user_of(checkout)
    return next((_user_of(links[source]) for source in ("update", "session") if source in links), None)


def _user_of(claim: Claim) -> str | None:
    user_id: str | None = claim["user_id"]
    return user_id


def _base(links: Links, first: Claim) -> Claim:
    """What the customer's metadata said at the first internal link."""
    if "base" in links:
        base: Claim = links["base"]
        return base
    stated: Claim = links.get("metadata", NOTHING)
    return stated if stated["created"] <= first["created"] else NOTHING


def with_internal_link(links: Links, claim: Claim) -> Links:
    """The customer's links after the internal API linked it to `claim["user_id"]` (None: to nobody)."""
    moves = moves_of(links)
    if moves and moves[-1]["user_id"] == claim["user_id"]:
        return links
    move = claim | {"number": moves[-1]["number"] + 1 if moves else 1}
    base = _base(links, (moves or [move])[0])
    linked = links | {"internal": claim, "moves": [*moves, move], "base": base}
    return linked | {"moves": _bounded(linked)}


def _bounded(links: Links) -> list[Claim]:
    """The internal links that still decide something, of many.

    A claim that names a user follows the last link that took the customer from that user, and ends with the
    last of all. The first link stays, as what was said before it may come late.
    """
    moves = moves_of(links)
    if len(moves) <= MAX_MOVES:
        return moves
    first, *rest = _with_holders(links)
    last = {held_by: move | {"from": held_by} for move, held_by in rest}
    kept = sorted(last.values(), key=lambda move: move["number"])[1 - MAX_MOVES :]
    final = rest[-1][0]["user_id"]
    # Whoever followed one that is left out went on to the last holder.
    return [first[0] | {"user_id": final}, *(move | {"user_id": final} for move in kept)]


def with_statement(links: Links, claim: Claim) -> Links:
    """The customer's links after a snapshot, not necessarily the newest one, whose metadata says `claim`."""
    moves = moves_of(links)
    if not moves or claim["created"] > moves[0]["created"]:
        return links
    return links | {"base": claim} if age(claim) > age(_base(links, moves[0])) else links


def with_metadata(links: Links, claim: Claim) -> Links:
    """The customer's links with what the metadata of its newest snapshot says; None takes the claim out.

    A claim of another object stays: an older release kept there what subscriptions and sessions said.
    """
    if claim["user_id"] is not None:
        return links | {"metadata": claim}
    known = links.get("metadata", NOTHING)
    return without_claim(links, "metadata") if known["object_id"] == claim["object_id"] else links


def without_claim(links: Links, source: str) -> Links:
    """The links without what that source claims."""
    return {name: claim for name, claim in links.items() if name != source}


def with_first(links: Links, source: str, claim: Claim) -> Links:
    """The links with the earliest claim of that source. Of one object, what was read of it corrects what an
    event said; its age stays."""
    known = links.get(source)
    if known is None:
        return links | {source: claim}
    first, second = sorted((known, claim), key=age)
    if known["object_id"] != claim["object_id"]:
        return links | {source: first}
    said = max(second, first, key=lambda each: bool(each.get("read")))
    return links | {source: said | {"created": first["created"], "event_id": first["event_id"]}}
