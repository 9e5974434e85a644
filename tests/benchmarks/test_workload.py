"""The benchmarks' workload: really signed, and no event twice."""

import json

import pytest

from app.stripe.events import parse
from app.stripe.signatures import verify
from benchmarks.load import Log, due_times, is_whole, kind_of, measured
from benchmarks.workload import BLOCK_RENEWALS, HANDLED, SECRET, events, request, templates, token

NOW = 1_900_000_000
BLOCK = BLOCK_RENEWALS * len(HANDLED)


def test_no_event_comes_twice_and_each_renewal_is_whole() -> None:
    found = list(events(0, 3 * BLOCK))
    assert len({event.id for event in found}) == len(found)
    by_subscription: dict[str, set[str]] = {}
    for event in found:
        name = next(iter(parse(event.body).names["subscription"]))
        by_subscription.setdefault(name, set()).add(event.type)
    assert len(by_subscription) == 3 * BLOCK_RENEWALS
    assert all(types == set(HANDLED) for types in by_subscription.values())


def test_the_events_are_the_same_wherever_one_starts() -> None:
    assert list(events(0, 2 * BLOCK))[BLOCK - 3 :] == list(events(BLOCK - 3, BLOCK + 3))


def test_the_subscriptions_are_those_that_seeding_makes() -> None:
    names = [parse(event.body).names for event in events(0, BLOCK)]
    expected = {f"sub_1{token(str(number))}" for number in range(BLOCK_RENEWALS)}
    assert {id for name in names for id in name["subscription"]} == expected


def test_the_bodies_are_indented_and_of_stripes_size() -> None:
    sizes = [len(event.body) for event in events(0, BLOCK)]
    assert 5000 < sum(sizes) / len(sizes) < 6000
    for event, template in zip([t.copy(5) for t in templates()], templates(), strict=True):
        content = json.loads(event.body)
        assert json.dumps(content, indent=2).encode() == event.body
        assert (content["id"], content["type"]) == (event.id, template.type)


def test_a_request_is_whole_http_with_a_signature_that_holds() -> None:
    event = next(events(17, 1))
    head, _, body = request(event, NOW).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(headers["Content-Length"]) == len(body) == len(event.body)
    verify(body, headers["Stripe-Signature"], [SECRET], NOW)


def test_an_answer_is_whole_when_its_length_has_come() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"status":"processed"}'
    assert [length for length in range(len(answer) + 1) if is_whole(answer[:length])] == [len(answer)]
    assert kind_of(answer) == "200 processed"
    assert kind_of(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n") == "503"


def test_an_open_loop_offers_its_rate_whatever_comes_back() -> None:
    due = due_times(50_000, 830, seed=3)
    assert due == sorted(due)
    assert 50_000 / due[-1] == pytest.approx(830, rel=0.02)


def test_what_is_answered_in_the_warm_up_or_after_the_end_is_not_timed() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    log = Log([answer] * 5, ended=[0.5, 1.1, 1.5, 2.0, 3.5], began=[0.0, 1.0, 1.0, 1.0, 1.0])
    result = measured(log, 5, start=1.0, end=3.0, cpu_share=0.1)
    assert result.rate == 1.5
    assert result.answers == {"200": 5}
    assert (round(result.median), round(result.worst)) == (500, 1000)


def test_a_rate_is_of_the_time_until_the_events_ran_out() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    log = Log([answer] * 2, ended=[1.2, 1.5], began=[1.0, 1.0])
    assert measured(log, 2, start=1.0, end=3.0, cpu_share=0.1).rate == pytest.approx(4)
