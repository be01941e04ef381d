"""A minimal SVG writer: elements with escaped attributes and text, never a ``style`` attribute.

Colours, strokes and fonts come from classes in ``static/ballast.css``, so that a chart follows the theme and
passes a Content-Security-Policy without inline styles.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Literal

from django.utils.safestring import SafeString

type Attribute = str | float | int | None
type Anchor = Literal["start", "middle", "end"]

FONT_SIZE = 11.5
"""The font size in charts, in user units. The stylesheet has the same value."""


def fixed(value: float) -> str:
    """Return a coordinate with at most one decimal, the same text on every machine."""
    text = f"{value:.1f}"
    text = text[:-2] if text.endswith(".0") else text
    return "0" if text == "-0" else text


def _attribute(value: Attribute) -> str:
    return _safe(value) if isinstance(value, str) else fixed(float(value or 0))


@lru_cache(maxsize=4096)
def _safe(text: str) -> str:
    """Return escaped text. Cached, because a drawing repeats the same few classes hundreds of times."""
    return escape(printable(text), quote=True)


@lru_cache(maxsize=4096)
def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def printable(text: str) -> str:
    """Return the text without the control characters that XML forbids."""
    if text.replace("\u202f", " ").isprintable():
        return text
    return "".join(c for c in text if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs", "Cn"))


def element(name: str, /, *content: str, **attributes: Attribute) -> str:
    """Return one element. ``content`` is markup from this module. ``None`` attributes are left out.

    A trailing underscore is dropped and others become hyphens: ``class_`` → ``class``, ``text_anchor`` →
    ``text-anchor``.
    """
    written = "".join(
        f' {_attribute_name(key)}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def title(text: str) -> str:
    """Return the tip that appears when a pointer rests on the element."""
    return f"<title>{escape(printable(text), quote=False)}</title>"


def words(
    x: float,
    y: float,
    text: str,
    *,
    anchor: Anchor = "start",
    class_: str | None = None,
    tip: str = "",
    is_ornament: bool = False,
) -> str:
    """Return a text element. ``tip`` appears on hover, for a label that was cut. Screen readers skip an ornament."""
    return element(
        "text",
        escape(printable(text)),
        title(tip) if tip else "",
        x=x,
        y=y,
        text_anchor=None if anchor == "start" else anchor,
        class_=class_,
        aria_hidden="true" if is_ornament else None,
    )


BOLD = 1.12
"""The factor by which semibold words are wider."""


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Return a generous estimate of the text's width in a usual sans-serif, in user units."""
    units = 0.0
    for character in text:
        if unicodedata.east_asian_width(character) in ("W", "F"):
            units += 1.05
        elif character in "iljtfI.,:;'|!()[] ·\u202f\u00a0":
            units += 0.37
        elif character in "mwMW@%—<>=+&":
            units += 0.92
        elif character.isupper():
            units += 0.7
        else:
            units += 0.6
    return units * size


def fit(text: str, width: float, size: float = FONT_SIZE) -> str:
    """Return the text, cut in the middle to at most ``width`` units so that both ends stay readable."""
    if text_width(text, size) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        head = (keep + 1) // 2
        short = f"{text[:head]}…{text[len(text) - (keep - head) :]}"
        if text_width(short, size) <= width:
            return short
        keep -= 1
    return f"{text[:1]}…"


def points_attribute(pairs: Iterable[tuple[float, float]]) -> str:
    """Return coordinates as :func:`fixed` writes them, but all at once, because a line has hundreds."""
    text = " ".join([f"{x:.1f},{y:.1f}" for x, y in pairs]) + " "
    text = text.replace(".0,", ",").replace(".0 ", " ")
    return text.replace("-0,", "0,").replace("-0 ", "0 ")[:-1]


def document(
    width: float,
    height: float,
    parts: Iterable[str],
    *,
    label: str,
    class_: str = "plot",
    role: Literal["img", "group"] = "img",
    has_own_width: bool = False,
) -> SafeString:
    """Return the whole drawing.

    ``role`` is ``group`` where it holds links, which an image may not. With a fixed width
    it never shrinks, so its words keep their size. Without a label screen readers skip it.
    """
    return SafeString(
        element(
            "svg",
            *parts,
            viewBox=f"0 0 {fixed(width)} {fixed(height)}",
            width=width if has_own_width else None,
            class_=class_,
            role=role if label else None,
            aria_label=label or None,
            aria_hidden=None if label else "true",
        )
    )


@dataclass(frozen=True, slots=True)
class ChartTable:
    """The figures behind a chart: headings (the first is for the row names) and rows of finished text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, a sentence that says the same, and its table. In a template it prints as its drawing.

    ``stacked`` is the drawing for a narrow screen, if there is one; the stylesheet shows one of the two. ``axis`` holds
    only the axis's figures, for a narrow screen that scrolls the drawing behind them.
    """

    svg: SafeString
    alternative: str
    table: ChartTable
    stacked: SafeString | None = None
    axis: SafeString | None = None

    def __str__(self) -> str:
        return self.svg

    def __html__(self) -> str:
        return self.svg
