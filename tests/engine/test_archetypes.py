"""The shipped file and the built-in priors are the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from apps.engine.archetypes import Archetypes

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "archetypes.toml"


def test_the_fixture_holds_the_built_in_priors() -> None:
    assert Archetypes.from_mapping(tomllib.loads(FIXTURE.read_text())) == Archetypes.built_in()


def test_an_unknown_kind_is_the_default() -> None:
    assert Archetypes.built_in().get("no-such-kind").name == "default"


def test_quantiles_rise() -> None:
    archetype = Archetypes.built_in().get("database")
    assert archetype.unavailability(0.8) < archetype.unavailability(0.95) < archetype.unavailability(0.99)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "default"),
        ({"archetypes": {"default": {"title": "x"}}}, "typical_availability"),
        (
            {
                "archetypes": {
                    "default": {"title": "x", "typical_availability": 99.9, "spread": 1, "latency_spread": 1}
                }
            },
            "inside 0..1",
        ),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong(document: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Archetypes.from_mapping(document)
