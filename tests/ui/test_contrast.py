"""Words and their grounds reach WCAG 2.2 AA in both themes; computed from the tokens of the stylesheet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).resolve().parents[2] / "static" / "ballast.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
}
GROUNDS = ("bg", "surface", "raised", "hover")
WORDS = [
    *((ink, ground) for ink in ("text", "muted", "accent") for ground in GROUNDS),
    *((state, f"{state}-soft") for state in ("ok", "warn", "bad")),
    *(("text", f"{state}-soft") for state in ("ok", "warn", "bad", "accent")),
    ("accent", "accent-soft"),
    ("accent-ink", "accent"),
    ("bad", "surface"),
    ("bad", "raised"),
    ("warn", "surface"),
]
EDGES = [("line-strong", "bg"), ("line-strong", "surface"), ("accent", "surface"), ("ok", "surface")]


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2, definition of relative luminance)."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), WORDS)
def test_words_stand_out_from_their_ground(ink: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[ink][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_edges_of_controls_and_marks_can_be_seen(edge: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[edge][theme], TOKENS[ground][theme]) >= 3


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_dangerous_button_can_be_read(theme: int) -> None:
    assert contrast("#ffffff", TOKENS["bad-solid"][theme]) >= 4.5
