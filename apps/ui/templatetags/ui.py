"""Filters that write figures and tags that draw components. See docs/design.md for how a page uses them."""

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
    """Register a filter for a figure; what a template does not find (``""``) is no value, as ``None`` is."""

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
    """A factor: ``0.4×``."""
    return fmt.NO_VALUE if value is None or value == "" else f"{fmt.number(value, digits)}×"


@register.filter
def day(value: date | None) -> str:
    return fmt.day(value)


@register.filter
def chance(probability: float | None, window_days: int = 28) -> SafeString:
    """A chance as a count, the figure on hover: ``1 month in 20``."""
    return format_html(
        '<span title="{}">{}</span>', fmt.percent(probability), fmt.chance_words(probability, window_days)
    )


@register.filter
def utc(value: datetime | None) -> SafeString:
    """An instant in UTC; the script adds the reader's own time on hover."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.utc_text(value))


@register.filter
def stamp(value: datetime | None) -> SafeString:
    """An instant with its date even where it is of today, for the ends of a window."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.utc_stamp(value))


@register.filter
def age(value: datetime | None) -> SafeString:
    """How long ago, or the time in UTC where it was more than an hour."""
    if value is None:
        return format_html("{}", fmt.NO_VALUE)
    return format_html('<time datetime="{}">{}</time>', fmt.iso(value), fmt.age(value))


@register.simple_tag
def chip(word: object, level: str = "") -> SafeString:
    """A state with its shape and word: ``{% chip "decision due" "warn" %}``; without a level a plain
    label.
    """
    shape = SHAPES.get(level, "")
    mark = format_html('<span aria-hidden="true">{}</span> ', shape) if shape else ""
    return format_html('<span class="chip{}">{}{}</span>', f" {level}" if level else "", mark, word)


@register.simple_tag
def fact(label: str, value: object, note: object = "") -> SafeString:
    """One figure of the facts line, inside ``<dl class="facts">``."""
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
    """A box with a heading; ``flush`` for a table that reaches its edges."""
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
    """A remark that must not be missed; ``warn``, ``bad``, ``ok`` or ``info``."""
    return render_to_string(
        "components/note.html", {"content": content, "level": level, "shape": SHAPES.get(level)}
    )


@register.simple_block_tag(end_name="endstate")
def state(content: str, kind: str, title: str, element_id: str = "") -> str:
    """What stands where nothing can: ``empty``, ``error`` (with its id), ``stale``, ``denied``,
    ``loading``.
    """
    return render_to_string(
        "components/state.html", {"content": content, "kind": kind, "title": title, "id": element_id}
    )


_BETWEEN_CELLS, _BETWEEN_ROWS = "\x1f", "\x1e"
"""Information separators, which no figure holds."""


def _table_rows(rows: Sequence[Sequence[str]]) -> SafeString:
    """The rows behind a chart, escaped and written at once: a thousand cells are slow one by one."""
    cells = escape_text(_BETWEEN_ROWS.join([_BETWEEN_CELLS.join(row) for row in rows]))
    written = []
    for row in cells.split(_BETWEEN_ROWS) if rows else ():
        first, *others = row.split(_BETWEEN_CELLS)
        figures = "".join([f'<td class="num">{cell}</td>' for cell in others])
        written.append(f'<tr><th scope="row">{first}</th>{figures}</tr>')
    return SafeString("".join(written))


@register.simple_block_tag(end_name="endchartpanel")
def chartpanel(content: str, chart: Chart, title: str, right: object = "", element_id: str = "") -> str:
    """A chart with its finding as title, unit and window at the right, the words in between, its table under
    it.
    """
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
    """A table whose rows are the block's content; empty, it says what will be here. With ``lines`` (or where
    the table says so) a row becomes a few lines on a narrow screen.
    """
    context = {"content": content, "table": table, "lines": lines or table.is_lines}
    return render_to_string("components/table.html", context)


@register.simple_tag(takes_context=True)
def field(context: Context, one: Field) -> str:
    """One input with its label, help and errors."""
    return render_to_string("components/field.html", {"field": one})


@register.filter
def error_count(fields: Sequence[Field]) -> int:
    return sum(1 for one in fields if one.errors)


@register.filter
def spaced(name: str) -> str:
    """A field's name as words: ``services_created`` → ``services created``."""
    return str(name).replace("_", " ")


@register.filter
def figures(summary: Any) -> list[tuple[str, str]]:
    """What a job reports as lines: nested counts by their path (``services, created``), zeros left out.

    A report of nothing but zeros says so in one line.
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
    """A button that opens an action's dialog and, when done, comes back to this page."""
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
    """Keys and values, also where a key is called ``items`` or the mapping counts what it does not hold."""
    return list(mapping.items()) if mapping else []


@register.filter
def get(mapping: Any, key: str) -> Any:
    """A value by a key that is only known in the template."""
    return mapping.get(key) if mapping else None
