"""What a figure of a dependency rests on, in words that need no code to be read."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from apps.engine import document as types
from apps.slos.presenting.evidence import (
    AVAILABILITY_SOURCES,
    ESTIMATE_SOURCES,
    dependencies,
    dependency,
)

IN_WORDS = [
    (AVAILABILITY_SOURCES, types.AvailabilitySource),
    (ESTIMATE_SOURCES, types.CallProbabilitySource),
    (ESTIMATE_SOURCES, types.HardnessSource),
]


@pytest.mark.parametrize(("words", "kind"), IN_WORDS)
def test_every_source_that_the_engine_writes_has_words(words: dict[str, str], kind: object) -> None:
    sources = get_args(kind)
    assert len(sources) >= 3
    for source in sources:
        assert source in words
        assert "_" not in words[source]
        assert words[source] != "unknown"


def test_a_row_says_where_its_figures_are_from() -> None:
    found: Any = {
        "target_id": "psp",
        "criticality": "hard",
        "mode": "sync",
        "call_probability": 0.2,
        "call_probability_source": "bounded_by_target_traffic",
        "hardness": 0.3,
        "hardness_source": "bounded_by_survival",
        "availability": None,
        "availability_source": "unknown",
        "effect": None,
    }
    row = dependency(found)
    assert row.call_probability_source == "at most: it is called no more often"
    assert row.hardness_source == "at most: more did not fail"
    assert row.availability_source == "nothing known"
    unknown: Any = {"target_id": "psp", "hardness_source": "seen_elsewhere"}
    newer = dependency(unknown)
    assert newer.hardness_source == "seen elsewhere"


def test_dependencies_that_are_not_listed_are_counted() -> None:
    row = {"target_id": "psp", "availability": None, "availability_source": "unknown"}
    many: Any = {"dependencies": [row], "dependency_count": 10_000}
    one: Any = {"dependencies": [row], "dependency_count": 1}
    older: Any = {"dependencies": [row]}
    alone: Any = {"dependencies": []}
    assert dependencies(many).words[0] == (
        "It depends on 9,999 more, of which nothing is known: they count for nothing."
    )
    assert dependencies(one).words == []
    assert dependencies(alone).words == []
    assert dependencies(older).words == [], "older recommendations list them all"
