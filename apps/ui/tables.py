"""A table's head and foot: its columns, its order, and how many rows of how many it shows.

The state is in the query string: ``?sort=-budget&team=payments``. The page orders its rows itself; this module only
makes the links and names the order in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from django.http import QueryDict

from apps.ui.format import count


@dataclass(frozen=True, slots=True)
class Column:
    """``key`` is the value for ``?sort=``; a column that cannot be sorted has none. ``hint`` explains the heading."""

    label: str
    key: str = ""
    numeric: bool = False
    hint: str = ""
    descending_first: bool = False
    hidden_label: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading, for the template."""

    label: str
    href: str
    order: Literal["ascending", "descending", ""]
    numeric: bool
    hint: str
    hidden_label: bool


@dataclass(frozen=True, slots=True)
class Table:
    """``shown`` rows are on this page, ``total`` match; ``sort`` is the order in force (``-budget``)."""

    id: str
    caption: str
    columns: Sequence[Column]
    shown: int
    total: int
    noun: str = "rows"
    sort: str = ""
    query: QueryDict | None = None
    empty_title: str = ""
    empty_text: str = ""
    empty_url: str = ""
    """The way back from a list that is empty only because of the address."""
    empty_link: str = ""
    hide_caption: bool = False
    amount_note: str = ""
    """An addition to the amount: ``of 5 services``."""
    is_lines: bool = False
    """On a narrow screen each row becomes a few lines; each cell has a class for its line (``on1`` … ``on4``)."""

    @property
    def amount(self) -> str:
        """Return how many of how many are shown: ``50 of 412 services``, ``1 service``."""
        many = "" if self.shown == self.total else f"{count(self.shown)} of "
        return f"{many}{self.amount_of_all}" + (f" {self.amount_note}" if self.amount_note else "")

    @property
    def amount_of_all(self) -> str:
        """Return how many match: ``412 services``."""
        return f"{count(self.total)} {singular(self.noun) if self.total == 1 else self.noun}"

    @property
    def headings(self) -> Iterator[Heading]:
        current = self.sort.removeprefix("-")
        for column in self.columns:
            order: Literal["ascending", "descending", ""] = ""
            if column.key and column.key == current:
                order = "descending" if self.sort.startswith("-") else "ascending"
            yield Heading(
                column.label,
                self._href(column, order),
                order,
                column.numeric,
                column.hint,
                column.hidden_label,
            )

    def _href(self, column: Column, order: str) -> str:
        if not column.key:
            return ""
        descend = order == "ascending" if order else column.descending_first
        query = self.query.copy() if self.query is not None else QueryDict(mutable=True)
        query["sort"] = f"-{column.key}" if descend else column.key
        for position in ("page", "cursor"):
            query.pop(position, None)
        return f"?{query.urlencode()}"


def sort_from(query: QueryDict, columns: Sequence[Column], default: str) -> str:
    """Return the order in the query, or ``default`` where it names no sortable column."""
    asked = query.get("sort", default)
    return asked if asked.removeprefix("-") in {column.key for column in columns if column.key} else default


def singular(noun: str) -> str:
    """Return the singular of a table's noun: ``service`` for ``services``, ``entry`` for ``entries``."""
    return noun.removesuffix("ies") + "y" if noun.endswith("ies") else noun.removesuffix("s")


@dataclass(frozen=True, slots=True)
class Pager:
    """Links to the neighbouring pages, empty where there is none, and this page's range (``51 to 100 of 412``)."""

    previous: str
    next: str
    text: str
