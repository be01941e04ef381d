"""A reader is told of cycles, of each or of many together, and how they are counted."""

from __future__ import annotations

import pytest

from apps.engine.edges.dependencies import service_composite
from apps.engine.edges.estimates import estimate_edges
from apps.engine.edges.warnings import APART, MOST_OF_A_PATH, composite_warnings
from apps.engine.types import DependencyInput


def _warnings(*cycles: tuple[str, ...]) -> list[str]:
    dependencies = [
        DependencyInput(f"n{number:02d}", published_sla=0.999, cycle=cycle)
        for number, cycle in enumerate(cycles)
    ]
    return composite_warnings(service_composite(0.99, 1.0, estimate_edges(None, dependencies, 0)))


def test_without_a_cycle_nothing_is_said() -> None:
    assert _warnings((), ()) == []


@pytest.mark.parametrize("count", range(1, APART + 1))
def test_of_few_cycles_each_is_named_with_its_path(count: int) -> None:
    found = _warnings((), *[("shop", "pay")] * count)
    assert len(found) == count
    for number, sentence in enumerate(found, 1):
        assert sentence.startswith(f"n{number:02d} is in a cycle (shop → pay → shop): ")
        assert "in full" in sentence


def test_many_cycles_share_a_sentence() -> None:
    (found,) = _warnings(*[("shop", "pay")] * (APART + 4))
    assert found.startswith("n00, n01, n02 and 4 more are in cycles: ")
    assert "in full" in found


@pytest.mark.parametrize("members", [2, MOST_OF_A_PATH, MOST_OF_A_PATH + 1, MOST_OF_A_PATH + 30])
def test_a_long_path_is_cut_and_comes_back_to_where_it_began(members: int) -> None:
    names = tuple(f"s{number}" for number in range(members))
    (found,) = _warnings(names)
    path = found.split("(")[1].split(")")[0].split(" → ")
    assert path[0] == path[-1] == "s0"
    more = members - MOST_OF_A_PATH
    assert path[1:-1] == [*names[1:MOST_OF_A_PATH], *([f"{more} more"] if more > 0 else [])]
