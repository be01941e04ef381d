"""Filters that write figures, and tags that draw components. docs/design.md says how a page uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from html import escape as escape_text
from typing import Any

from django import template
from django.template.context import Context
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.ui import charts
from apps.ui import format as fmt
from apps.ui.charts.small import Level
from apps.ui.charts.svg import Chart
from apps.ui.forms import Field
from apps.ui.links import action_url
from apps.ui.tables import Table

register = template.Library()

SHAPES: dict[str, str] = {"ok": "●", "warn": "▲", "bad": "■"}


def _figure(name: str, function: Callable[..., str]) -> None:
    """Register a filter for a figure. A missing variable (``""``) counts as no value, like ``None``."""

    def write(value: Any, digits: int | None = None) -> str:
        known = None if value == "" else value
        return function(known) if digits is None else function(known, digits)

    register.filter(name, write)


for _name in ("percent", "percent_number", "points", "count", "number", "ms", "duration"):
    _figure(_name, getattr(fmt, _name))


@register.filter
def plural(value: int, nouns: str) -> str:
    """``{{ n|plural:"service" }}`` or ``{{ n|plural:"entry,entries" }}``."""
    one, _, many = nouns.partition(",")
    return fmt.plural(value, one, many)


@register.filter
def times(value: Any, digits: int = 1) -> str:
    """Return a factor: ``0.4×``."""
    return fmt.NO_VALUE if value is None or value == "" else f"{fmt.number(value, digits)}×"


@register.filter
def day(value: date | None) -> str:
    return fmt.day(value)


@register.filter
def chance(probability: float | None, window_days: int = 28) -> SafeString:
    """Return a chance as a count, with the figure on hover: ``1 month in 20``."""
    return format_html(
        '<span title="{}">{}</span>', fmt.percent(probability), fmt.chance_words(probability, window_days)
    )


@register.filter
def utc(value: datetime | None) -> SafeString:
    """Return an instant in UTC. The script adds the reader's local time on hover."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.utc_text(value))


@register.filter
def stamp(value: datetime | None) -> SafeString:
    """Return an instant with its date even for today, for the ends of a window."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.utc_stamp(value))


@register.filter
def age(value: datetime | None) -> SafeString:
    """Return how long ago it was, or the time in UTC where it was more than an hour ago."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.age(value))


@register.simple_tag
def chip(word: object, level: str = "") -> SafeString:
    """Draw a state with its shape and word: ``{% chip "decision due" "warn" %}``; without a level a plain label."""
    shape = SHAPES.get(level, "")
    mark = format_html('<span aria-hidden="true">{}</span> ', shape) if shape else ""
    return format_html('<span class="chip{}">{}{}</span>', f" {level}" if level else "", mark, word)


@register.simple_tag
def fact(label: str, value: object, note: object = "") -> SafeString:
    """Draw one figure of the facts line, inside ``<dl class="facts">``."""
    extra = format_html(' <span class="muted small">{}</span>', note) if note else ""
    return format_html("<div><dt>{}</dt><dd>{}{}</dd></div>", label, value, extra)


@register.simple_tag
def meter(share: float | None, label: str, level: Level = "ok") -> SafeString:
    return charts.meter(share, label=label, level=level)


@register.simple_tag
def sparkline(values: Sequence[float | None], label: str) -> SafeString:
    return charts.sparkline(values, label=label)


@register.simple_tag
def strip(windows: Sequence[charts.Window]) -> SafeString:
    return charts.backtest_strip(windows)


@register.simple_block_tag(end_name="endpanel")
def panel(
    content: str, title: str, right: object = "", element_id: str = "", flush: bool = False, level: int = 2
) -> str:
    """Draw a box with a heading; ``flush`` for a table that reaches its edges."""
    context = {
        "content": content,
        "title": title,
        "right": right,
        "id": element_id,
        "flush": flush,
        "level": level,
    }
    return render_to_string("components/panel.html", context)


@register.simple_block_tag(end_name="endnote")
def note(content: str, level: str = "warn") -> str:
    """Draw a note that must not be missed: ``warn``, ``bad``, ``ok`` or ``info``."""
    return render_to_string(
        "components/note.html", {"content": content, "level": level, "shape": SHAPES.get(level)}
    )


@register.simple_block_tag(end_name="endstate")
def state(content: str, kind: str, title: str, element_id: str = "") -> str:
    """Draw what replaces missing content: ``empty``, ``error`` (with its id), ``stale``, ``denied``, ``loading``."""
    return render_to_string(
        "components/state.html", {"content": content, "kind": kind, "title": title, "id": element_id}
    )


_BETWEEN_CELLS, _BETWEEN_ROWS = "\x1f", "\x1e"
"""Information separators, which occur in no figure."""


def _table_rows(rows: Sequence[Sequence[str]]) -> SafeString:
    """Return the rows behind a chart, escaped all at once, because a thousand cells one by one are slow."""
    cells = escape_text(_BETWEEN_ROWS.join([_BETWEEN_CELLS.join(row) for row in rows]))
    written = []
    for row in cells.split(_BETWEEN_ROWS) if rows else ():
        first, *others = row.split(_BETWEEN_CELLS)
        figures = "".join([f'<td class="num">{cell}</td>' for cell in others])
        written.append(f'<tr><th scope="row">{first}</th>{figures}</tr>')
    return SafeString("".join(written))


@register.simple_block_tag(end_name="endchartpanel")
def chartpanel(content: str, chart: Chart, title: str, right: object = "", element_id: str = "") -> str:
    """Draw a chart with its finding as title, unit and window at the right, text in between, and its table below."""
    context = {
        "content": content,
        "chart": chart,
        "rows": _table_rows(chart.table.rows),
        "title": title,
        "right": right,
        "id": element_id,
    }
    return render_to_string("components/chart.html", context)


@register.simple_block_tag(end_name="enddatatable")
def datatable(content: str, table: Table, lines: bool = False) -> str:
    """Draw a table whose rows are the block's content.

    An empty table says what will be here. With ``lines`` (or where the table says so) a row becomes a few lines on a
    narrow screen.
    """
    context = {"content": content, "table": table, "lines": lines or table.is_lines}
    return render_to_string("components/table.html", context)


@register.simple_tag(takes_context=True)
def field(context: Context, one: Field) -> str:
    """Draw one input with its label, help and errors."""
    return render_to_string("components/field.html", {"field": one})


@register.filter
def error_count(fields: Sequence[Field]) -> int:
    return sum(1 for one in fields if one.errors)


@register.filter
def spaced(name: str) -> str:
    """Return a field's name as words: ``services_created`` → ``services created``."""
    return str(name).replace("_", " ")


@register.filter
def figures(summary: Any) -> list[tuple[str, str]]:
    """Return a job's report as lines: nested counts by their path (``services, created``), without zeros.

    A report of only zeros becomes one line.
    """
    found = [
        (name, value) for name, value in _figures(summary or {}) if value not in (0, "", None, [], False)
    ]
    if not found and summary:
        return [("Changed", "nothing")]
    return [
        (name, fmt.number(value) if isinstance(value, (int, float)) else str(value)) for name, value in found
    ]


def _figures(summary: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in summary.items():
        name = spaced(f"{path}, {key}" if path else key)
        if isinstance(value, dict):
            yield from _figures(value, name)
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


@register.simple_tag(takes_context=True)
def action_link(context: Context, action: str, label: str, *, look: str = "", **values: Any) -> SafeString:
    """Draw a button that opens an action's dialog and then returns to this page."""
    url = action_url(action, next=context["request"].path, **values)
    return format_html(
        '<a class="btn{}" href="{}" hx-get="{}" hx-target="#dialog" hx-swap="innerHTML">{}</a>',
        f" {look}" if look else "",
        url,
        url,
        label,
    )


@register.filter
def prefixed(value: object, prefix: str) -> str:
    return f"{prefix}{value}"


@register.filter
def pairs(mapping: Any) -> list[tuple[Any, Any]]:
    """Return keys and values, even where a key is called ``items`` or the mapping is a defaultdict."""
    return list(mapping.items()) if mapping else []


@register.filter
def get(mapping: Any, key: str) -> Any:
    """Return a value by a key that only the template knows."""
    return mapping.get(key) if mapping else None
