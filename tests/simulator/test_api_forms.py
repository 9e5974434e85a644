"""Stripe's form encoding, and the index, as plain functions."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator.api import forms
from app.simulator.api.errors import ApiError
from app.simulator.api.index import Index, Place, newest_first, oldest_first


def test_nested_names_become_nested_parameters() -> None:
    params = forms.parse(
        [
            ("items[0][price]", "price_a"),
            ("items[0][quantity]", "2"),
            ("items[1][price]", "price_b"),
            ("expand[]", "customer"),
            ("expand[]", "items"),
            ("metadata[1]", "one"),
            ("metadata[a]", ""),
        ]
    )
    assert forms.listed(params, "items") == [{"price": "price_a", "quantity": "2"}, {"price": "price_b"}]
    assert forms.texts(params, "expand") == ["customer", "items"]
    assert forms.merged_metadata(params, {"a": "x", "b": "y"}) == {"b": "y", "1": "one"}


def test_a_list_is_in_the_order_of_its_numbers() -> None:
    assert forms.texts(forms.parse([(f"types[{n}]", str(n)) for n in (10, 2, 0)]), "types") == [
        "0",
        "2",
        "10",
    ]


@pytest.mark.parametrize("name", ["a[", "a]", "[a]", "a[b]c", "", "a[b][c][d][e][f][g]"])
def test_a_name_that_is_no_parameters_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="Invalid parameter name"):
        forms.parse([(name, "1")])


def test_one_name_for_text_and_hash_is_refused() -> None:
    with pytest.raises(ApiError, match="Invalid hash"):
        forms.parse([("a", "1"), ("a[b]", "2")])
    for read in (forms.text, forms.integer, forms.boolean):
        with pytest.raises(ApiError, match="Invalid string"):
            read(forms.parse([("a[b]", "2")]), "a")
    for read_in in (forms.hashed, forms.listed):
        with pytest.raises(ApiError, match="Invalid"):
            read_in(forms.parse([("a", "2")]), "a")


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from("xy")), max_size=30))
def test_an_index_lists_like_a_sort_whatever_is_put_and_changed(puts: list[tuple[int, str, str]]) -> None:
    rng, index, facets = random.Random(len(puts)), Index(), {}
    for number, (created, one, other) in enumerate(puts):
        id = str(number) if rng.random() < 0.7 else str(rng.randrange(number + 1))
        index.put(id, created, {"one": one, "several": (other, one)})
        facets[id] = {("one", one), ("several", other), ("several", one)}
    places = sorted(index.places.values()) or [Place(0, 0, "0")]
    low, high = places[len(places) // 4], places[-len(places) // 4]
    for facet in [("one", "a"), ("several", "x"), ("several", "b")]:
        expected = sorted(place for id, place in index.places.items() if facet in facets[id])
        within = [place for place in expected if low < place < high]
        run = index.runs([facet])
        assert list(newest_first(run, low, high)) == within[::-1]
        assert list(oldest_first(run, low, high)) == within
    every = list(newest_first([index.smallest([])], Place(-1, -1, ""), Place(99, 0, "")))
    assert every == sorted(index.places.values(), reverse=True)
