"""Properties that any composite of dependencies must have."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.edges.composite import Factor, compose, shared_nodes
from tests.engine.samples import simple_factor

_SHARE = st.floats(0, 1)
_OWN = st.floats(0.5, 1)


@st.composite
def factors(draw: st.DrawFn) -> list[Factor]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5))
    return [
        simple_factor(
            name,
            call_probability=draw(_SHARE),
            hardness=draw(_SHARE),
            availability=draw(_SHARE),
            depends_on=tuple(draw(st.lists(st.sampled_from("abxyz"), unique=True, max_size=3))),
        )
        for name in names
    ]


@given(_OWN, factors())
def test_the_point_lies_within_the_frechet_bounds(own: float, given_factors: list[Factor]) -> None:
    found = compose(own, given_factors)
    losses = [factor.loss for factor in given_factors]
    assert found.lower == pytest.approx(max(0.0, 1 - (1 - own) - math.fsum(losses)), abs=1e-12)
    assert found.upper == pytest.approx(min([own, *(1 - loss for loss in losses)]), abs=1e-12)
    assert found.lower <= found.point <= found.upper


@given(_OWN, factors(), st.randoms())
def test_the_order_of_dependencies_does_not_matter(
    own: float, given_factors: list[Factor], random: object
) -> None:
    shuffled = list(given_factors)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert compose(own, shuffled) == compose(own, given_factors)


@given(_OWN, factors(), st.data())
def test_a_better_dependency_never_makes_the_service_worse(
    own: float, given_factors: list[Factor], data: st.DataObject
) -> None:
    independent = [replace(factor, depends_on=()) for factor in given_factors]
    for at, factor in enumerate(independent):
        better = factor.unavailability * data.draw(_SHARE)
        improved = list(independent)
        improved[at] = replace(
            factor, unavailability=better, least_unavailability=better, most_unavailability=better
        )
        assert compose(own, improved).point >= compose(own, independent).point - 1e-12
        assert compose(own, improved).lower >= compose(own, independent).lower
        assert compose(own, improved).upper >= compose(own, independent).upper


@given(_SHARE, _SHARE, _SHARE, _SHARE, _SHARE, st.booleans())
def test_a_better_dependency_on_a_shared_node_never_makes_the_service_worse(
    first: float, second: float, hardness: float, probability: float, part: float, node_is_direct: bool
) -> None:
    def point(one: float, other: float) -> float:
        names = ("x", "b") if node_is_direct else ("a", "b")
        return compose(
            1.0,
            [
                simple_factor(
                    names[0],
                    call_probability=probability,
                    hardness=hardness,
                    availability=one,
                    depends_on=() if node_is_direct else ("x",),
                ),
                simple_factor("b", call_probability=1, hardness=0.7, availability=other, depends_on=("x",)),
            ],
        ).point

    assert point(first + part * (1 - first), second) >= point(first, second) - 1e-12
    assert point(first, second + part * (1 - second)) >= point(first, second) - 1e-12


def test_a_dependency_that_is_hardly_called_hardly_matters() -> None:
    # PetShop, low traffic: a callee that is 0 % available is called 0.004 times a request.
    found = compose(0.9999, [simple_factor("elb", call_probability=0.004, hardness=1, availability=0.0)])
    assert found.point == pytest.approx(0.9999 * 0.996)


def test_a_shared_node_counts_once() -> None:
    database = simple_factor("db", call_probability=1, hardness=1, availability=0.99)
    orders = simple_factor("orders", call_probability=1, hardness=1, availability=0.99, depends_on=("db",))
    together = compose(1.0, [database, orders])
    apart = compose(1.0, [database, replace(orders, depends_on=())])
    assert together.point == pytest.approx(0.99)
    assert apart.point == pytest.approx(0.99**2)


def test_an_unmeasured_shared_node_lies_between_once_and_twice() -> None:
    pair = [
        simple_factor(name, call_probability=1, hardness=1, availability=0.99, depends_on=("mesh",))
        for name in "ab"
    ]
    assert 0.99**2 < compose(1.0, pair).point < 0.99
    assert shared_nodes(pair) == {"mesh": [0, 1]}


def test_many_shared_nodes_are_sampled_and_the_error_is_shown() -> None:
    # Pairs that share a node of their own: the exact answer is a product over the pairs.
    def pair(at: int) -> list[Factor]:
        return [
            simple_factor(
                f"{name}{at:02}",
                call_probability=1,
                hardness=0.5,
                availability=0.999,
                depends_on=(f"node{at:02}",),
            )
            for name in "ab"
        ]

    one = compose(1.0, pair(0))
    many = compose(1.0, [factor for at in range(14) for factor in pair(at)])
    assert one.standard_error == 0
    assert 0 < many.standard_error < 0.02 * (1 - many.point)
    assert many.point == pytest.approx(one.point**14, abs=3 * many.standard_error)


def test_without_dependencies_the_service_stands_alone() -> None:
    found = compose(0.9993, [])
    assert (found.point, found.lower, found.upper, found.limit) == (0.9993, 0.9993, 0.9993, 1.0)
