"""What the Content-Security-Policy forbids is not in the templates, so no page can break on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(ROOT.glob("templates/**/*.html"))
FORBIDDEN = {
    "an inline style": re.compile(r"\sstyle\s*=|<style\b", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.I),
    "an event handler": re.compile(r"\son[a-z]+\s*=\s*[\"']|\shx-on\b|javascript:", re.I),
    "something from elsewhere": re.compile(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//", re.I),
    "an expression for eval": re.compile(r"hx-(?:vals|headers)\s*=\s*[\"']js:", re.I),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_holds(what: str) -> None:
    assert TEMPLATES
    found = [str(path.relative_to(ROOT)) for path in TEMPLATES if FORBIDDEN[what].search(path.read_text())]
    assert found == []


def test_our_scripts_and_styles_stay_within_the_policy() -> None:
    for path in ROOT.glob("static/*.js"):
        assert not re.search(r"\beval\(|new Function|\.innerHTML|\.style\b|https?://", path.read_text()), (
            path.name
        )
    for path in ROOT.glob("static/*.css"):
        assert not re.search(r"@import|url\(", path.read_text()), path.name


def test_a_swap_copies_no_inline_style_from_what_it_replaces() -> None:
    """A text area that somebody resized has one; htmx would set it on its successor, against the policy."""
    base = (ROOT / "templates" / "base.html").read_text()
    found = re.search(r"name=\"htmx-config\" content='([^']+)'", base)
    assert found
    assert json.loads(found.group(1))["attributesToSettle"] == ["class"]
