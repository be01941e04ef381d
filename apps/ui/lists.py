"""The common parts of lists: filters, pages, foot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.http import QueryDict

from apps.ui.format import count, plural
from apps.ui.tables import Pager, Table

ROWS_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Filter:
    """One control above a list."""

    name: str
    label: str
    value: str
    choices: Sequence[tuple[str, str]] = ()
    kind: str = ""
    """The type of the input, such as ``date``; empty for text."""


@dataclass(frozen=True, slots=True)
class Listing[RowT]:
    """A list, for its template."""

    table: Table
    rows: Sequence[RowT]
    filters: Sequence[Filter]
    sort: str
    pager: Pager
    query: str
    is_filtered: bool


def choices(
    any_words: str, values: Sequence[str], words: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    return [("", any_words), *((value, (words or {}).get(value, value)) for value in values)]


def page_of(query: QueryDict) -> int:
    number = query.get("page", "1")
    return max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 7 else 1


def pager_of(query: QueryDict, page: int, shown: int, total: int) -> Pager:
    def link(number: int) -> str:
        copy = query.copy()
        copy["page"] = str(number)
        return f"?{copy.urlencode()}"

    first = (page - 1) * ROWS_PER_PAGE
    return Pager(
        link(min(page - 1, max(1, -(-total // ROWS_PER_PAGE)))) if page > 1 else "",
        link(page + 1) if first + shown < total else "",
        f"{count(first + 1)} to {count(first + shown)} of {count(total)}" if shown else "",
    )


def without(query: QueryDict, *names: str) -> str:
    copy = query.copy()
    for name in names:
        copy.pop(name, None)
    return copy.urlencode()


def listing_of[RowT](
    table: Table, rows: Sequence[RowT], filters: Sequence[Filter], sort: str, pager: Pager, query: QueryDict
) -> Listing[RowT]:
    is_filtered = any(query.get(one.name) for one in filters)
    if not rows:
        table = _empty(table, filters, query)
    return Listing(table, rows, filters, sort, pager, without(query, "page"), is_filtered)


def _empty(table: Table, filters: Sequence[Filter], query: QueryDict) -> Table:
    """Return why a list is empty where the address is the cause: a page after the last, or an unknown choice."""
    if table.total:
        last = -(-table.total // ROWS_PER_PAGE)
        return replace(
            table,
            empty_title=f"There is no page {count(page_of(query))}",
            empty_text=f"{table.amount_of_all} on {plural(last, 'page')}.",
            empty_url=f"?{without(query, 'page')}",
            empty_link="Go to the first page",
        )
    for one in filters:
        given = query.get(one.name, "")
        if given and one.choices and given not in {value for value, _ in one.choices}:
            return replace(
                table,
                empty_title=f"There is no {one.label.lower()} “{given}” in this list",
                empty_text=f"So no {table.noun} are shown.",
                empty_url=f"?{without(query, 'page', one.name)}",
                empty_link="Show them without it",
            )
    return table


def nothing_matches(noun: str, query: QueryDict, filters: Sequence[Filter]) -> tuple[str, str] | None:
    """Return the text of a list that is empty because of its filter; ``None`` without a filter."""
    if not any(query.get(one.name) for one in filters):
        return None
    text = words_in(query)
    return (
        f"No {noun} matches “{text}”" if text else f"No {noun} matches the filter"
    ), "Change or clear the filter."


def words_in(query: QueryDict, name: str = "q") -> str:
    """Return the text of a search field."""
    return str(query.get(name, "")).strip()
