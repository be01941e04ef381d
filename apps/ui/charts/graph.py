"""The dependency map: a drawing that the server lays out and whose nodes are links."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from apps.ui.charts.graph_layout import Placed, place
from apps.ui.charts.small import Level
from apps.ui.charts.svg import (
    BOLD,
    Chart,
    ChartTable,
    document,
    element,
    fit,
    fixed,
    printable,
    text_width,
    title,
    words,
)

_NODE_W, _NODE_H, _GAP_X, _ROW_H, _PAD = 181.0, 42.0, 51.0, 54.0, 14.0
"""Five columns, two steps in each direction, fit a page 1440 px wide."""
_SHAPE: Mapping[Level, str] = {"ok": "●", "warn": "▲", "bad": "■", "none": ""}

type EdgeKind = Literal["hard", "soft", "async"]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One service: ``href`` its page, ``note`` the small line under its name, ``state`` with its word."""

    id: str
    label: str
    href: str
    note: str = ""
    state: Level = "none"
    state_word: str = ""
    in_cycle: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """``source`` calls ``target``. A soft edge is one whose failure does not fail the caller."""

    source: str
    target: str
    kind: EdgeKind = "hard"
    stale: bool = False
    in_cycle: bool = False
    detail: str = ""

    @property
    def style(self) -> str:
        return "stale" if self.stale else self.kind


def dependency_graph(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], focus: str) -> Chart:
    """Draw callers to the left of ``focus`` and its dependencies to the right.

    Nodes are links whose names say all that the drawing shows of them. Edges of unknown nodes are left out.
    Raises :class:`ValueError` where ``focus`` is not among the nodes.
    """
    known = {node.id: node for node in nodes}
    if focus not in known:
        raise ValueError(f"the focus {focus!r} is not among the nodes")
    drawn = sorted(
        {(e.source, e.target): e for e in edges if e.source in known and e.target in known}.values(),
        key=lambda edge: (edge.source, edge.target),
    )
    placed = place(list(known), [(e.source, e.target) for e in drawn if e.source != e.target], focus)
    first = min(placed.column.values())
    top = min([*placed.row.values(), *(r for way in placed.waypoints.values() for _, r in way)])
    foot = max([*placed.row.values(), *(r for way in placed.waypoints.values() for _, r in way)])
    columns = max(placed.column.values()) - first + 1
    width = columns * _NODE_W + (columns - 1) * _GAP_X + 2 * _PAD
    head = 24.0
    map_height = (foot - top) * _ROW_H + _NODE_H + 2 * _PAD + head
    frame = _Frame(placed, first, top, head)
    parts = frame.headings(focus)
    pairs = {(edge.source, edge.target) for edge in drawn}
    parts += [frame.edge(edge, (edge.target, edge.source) in pairs) for edge in drawn]
    parts += [frame.node(known[node], focus) for node in _reading_order(placed)]
    legend, legend_height = _legend(drawn, any(node.in_cycle for node in nodes), width, map_height)
    cycles = sum(node.in_cycle for node in nodes)
    upstream = sum(1 for c in placed.column.values() if c < 0)
    downstream = sum(1 for c in placed.column.values() if c > 0)
    alternative = (
        f"{known[focus].label}: {_callers(upstream)}, directly or not, and it depends on {downstream}."
        + (f" {cycles} of those shown {'is' if cycles == 1 else 'are'} in a cycle." if cycles else "")
    )
    rows = tuple((known[e.source].label, known[e.target].label, _edge_words(e)) for e in drawn)
    table = ChartTable(("Caller", "Depends on", "How"), rows)
    svg = document(
        width,
        map_height + legend_height,
        [*parts, *legend],
        label=alternative,
        class_="graph",
        role="group",
        has_own_width=True,
    )
    return Chart(svg, alternative, table)


def _callers(amount: int) -> str:
    if amount < 2:
        return "1 service calls it" if amount else "no service calls it"
    return f"{amount} services call it"


def _reading_order(placed: Placed) -> list[str]:
    return sorted(placed.column, key=lambda node: (placed.column[node], placed.row[node], node))


def _edge_words(edge: GraphEdge) -> str:
    text = edge.kind if edge.kind == "async" else f"sync, {edge.kind}"
    text += ", stale" if edge.stale else ""
    text += ", in a cycle" if edge.in_cycle else ""
    return text + (f", {edge.detail}" if edge.detail else "")


class _Frame:
    """Turns rows and columns into coordinates and draws with them."""

    def __init__(self, placed: Placed, first: int, top: float, head: float) -> None:
        self.placed, self.first, self.top, self.head = placed, first, top, head

    def left(self, column: int) -> float:
        return _PAD + (column - self.first) * (_NODE_W + _GAP_X)

    def middle(self, row: float) -> float:
        return self.head + _PAD + _NODE_H / 2 + (row - self.top) * _ROW_H

    def headings(self, focus: str) -> list[str]:
        used = Counter(self.placed.column.values())
        parts: list[str] = []
        for column in sorted(used):
            steps = abs(column)
            if column == 0:
                continue
            word = ("calls it" if column < 0 else "it calls") if steps == 1 else f"{steps} steps"
            parts.append(words(self.left(column) + _NODE_W / 2, 14, word, anchor="middle"))
        return parts

    def node(self, node: GraphNode, focus: str) -> str:
        x, y = self.left(self.placed.column[node.id]), self.middle(self.placed.row[node.id]) - _NODE_H / 2
        marks = [_SHAPE[node.state]] if node.state != "none" else []
        room = _NODE_W - 22 - 16 * len(marks)
        label = fit(node.label, room, 12.5 * BOLD)
        notes = [node.note] if node.note else []
        if node.in_cycle:
            notes.insert(0, "↻ in a cycle")
        if node.external:
            notes.insert(0, "external")
        note = shown = " · ".join(notes)
        if node.in_cycle and text_width(shown, 11) > _NODE_W - 20:
            shown = shown.replace("↻ in a cycle · ", "↻ ", 1)  # The legend explains the sign.
        has_note = bool(note)
        sentence = ", ".join(
            part
            for part in (node.label, node.state_word, note, "this service" if node.id == focus else "")
            if part
        )
        classes = ["node"]
        classes += ["focus"] if node.id == focus else []
        classes += ["in-cycle"] if node.in_cycle else []
        classes += ["external"] if node.external else []
        inside = [
            title(sentence),
            element("rect", class_="box", x=x, y=y, width=_NODE_W, height=_NODE_H, rx=6),
            words(x + 11, y + (18 if has_note else 26), label, class_="name"),
        ]
        if has_note:
            inside.append(words(x + 11, y + 33, fit(shown, _NODE_W - 20, 11), class_="note-text"))
        if marks:
            inside.append(
                words(
                    x + _NODE_W - 10,
                    y + (18 if has_note else 26),
                    marks[0],
                    anchor="end",
                    class_=f"mark {node.state}",
                    is_ornament=True,
                )
            )
        link = f' href="{escape(printable(node.href))}" class="{" ".join(classes)}"'
        current = ' aria-current="true"' if node.id == focus else ""
        return f"<a{link}{current}>{''.join(inside)}</a>"

    def edge(self, edge: GraphEdge, has_opposite: bool) -> str:
        class_ = f"edge {edge.style}" + (" in-cycle" if edge.in_cycle else "")
        tip = f"{edge.source} → {edge.target}: {_edge_words(edge)}"
        if edge.source == edge.target:
            return self._self_loop(edge, class_, tip)
        c_from, c_to = self.placed.column[edge.source], self.placed.column[edge.target]
        y_from, y_to = self.middle(self.placed.row[edge.source]), self.middle(self.placed.row[edge.target])
        if has_opposite:
            shift = 7.0 if edge.source < edge.target else -7.0
            y_from, y_to = y_from + shift, y_to + shift
        if c_from == c_to:
            x = self.left(c_from) + _NODE_W
            bow = 26 + min(_GAP_X - 28, abs(y_to - y_from) / 8)
            path = f"M{fixed(x)} {fixed(y_from)}C{fixed(x + bow)} {fixed(y_from)} "
            path += f"{fixed(x + bow)} {fixed(y_to)} {fixed(x + 6)} {fixed(y_to)}"
            return self._drawn(path, class_, tip, x + 1, y_to, -1)
        forward = c_to > c_from
        start = self.left(c_from) + (_NODE_W if forward else 0)
        end = self.left(c_to) + (0 if forward else _NODE_W)
        side = 1 if forward else -1
        spots = [(start, y_from)]
        for column, row in self.placed.waypoints.get((edge.source, edge.target), ()):
            near, far = self.left(column), self.left(column) + _NODE_W
            spots += (
                [(near, self.middle(row)), (far, self.middle(row))]
                if forward
                else [(far, self.middle(row)), (near, self.middle(row))]
            )
        spots.append((end - 7 * side, y_to))
        path = f"M{fixed(start)} {fixed(y_from)}"
        for (x0, y0), (x1, y1) in itertools.pairwise(spots):
            if y0 == y1:
                path += f"L{fixed(x1)} {fixed(y1)}"
            else:
                half = (x1 - x0) / 2
                path += f"C{fixed(x0 + half)} {fixed(y0)} {fixed(x1 - half)} {fixed(y1)} "
                path += f"{fixed(x1)} {fixed(y1)}"
        return self._drawn(path, class_, tip, end - side, y_to, side)

    def _self_loop(self, edge: GraphEdge, class_: str, tip: str) -> str:
        x = self.left(self.placed.column[edge.source]) + _NODE_W
        y = self.middle(self.placed.row[edge.source])
        path = f"M{fixed(x)} {fixed(y - 12)}C{fixed(x + 30)} {fixed(y - 18)} {fixed(x + 30)} {fixed(y + 18)} "
        path += f"{fixed(x + 6)} {fixed(y + 12)}"
        return self._drawn(path, class_, tip, x + 1, y + 12, -1)

    def _drawn(self, path: str, class_: str, tip: str, x: float, y: float, side: int) -> str:
        """Return the line with its arrow head at (x, y), pointing right where ``side`` is 1."""
        head = f"M{fixed(x)} {fixed(y)}l{fixed(-8.0 * side)} -4v8z"
        return element(
            "g",
            title(tip),
            element("path", class_="line", d=path),
            element("path", class_="head", d=head),
            class_=class_,
        )


def _legend(edges: Sequence[GraphEdge], cycles: bool, width: float, top: float) -> tuple[list[str], float]:
    """Return a sample of each line style that occurs, with its word, wrapped to the drawing's width."""
    meaning = {
        "hard": "sync, hard: its failure fails the caller",
        "soft": "soft: the caller survives",
        "async": "async",
        "stale": "stale: not seen lately",
    }
    used = {edge.style for edge in edges}
    parts: list[str] = []
    x, y = _PAD, top + 16
    items = [(style, text) for style, text in meaning.items() if style in used]
    if cycles:
        items.append(("hard in-cycle", "↻ in a cycle"))
    for style, text in items:
        room = 34 + text_width(text) + 22
        if x + room > width and x > _PAD:
            x, y = _PAD, y + 20
        sample = element("path", class_="line", d=f"M{fixed(x)} {fixed(y - 4)}h26")
        parts.append(element("g", sample, class_=f"edge {style}"))
        parts.append(words(x + 33, y, text))
        x += room
    return parts, (y - top + 10 if items else 0.0)
