from __future__ import annotations

from datetime import UTC, datetime

from django.http import QueryDict
from django.template import engines
from django.template.loader import render_to_string

from apps.ui.tables import Column, Table, sort_from
from tests.ui.gallery.render import pages

COLUMNS = (
    Column("Service", "name"),
    Column("Left", "left", numeric=True, descending_first=True),
    Column("Note"),
)


def show(source: str, **context: object) -> str:
    return str(engines["django"].from_string("{% load ui %}" + source).render(context))


def table(
    shown: int = 2, total: int = 9, sort: str = "left", query: str = "team=a&sort=left&page=3"
) -> Table:
    return Table("t", "Services", COLUMNS, shown, total, "services", sort, QueryDict(query))


def test_every_page_of_the_gallery_renders() -> None:
    found = pages()
    assert set(found) == {"gallery.html", "login.html", "404.html", "403.html", "409.html", "500.html"}
    for html in found.values():
        assert html.lstrip().startswith("<!doctype html>")
        assert "<script>" not in html
        assert "{{" not in html
        assert "{%" not in html


def test_a_heading_sorts_keeps_the_filter_and_starts_at_the_first_page() -> None:
    html = show("{% datatable t %}<tr></tr>{% enddatatable %}", t=table())
    assert 'aria-sort="ascending"' in html
    assert 'href="?team=a&amp;sort=-left"' in html
    assert 'href="?team=a&amp;sort=name"' in html


def test_a_table_says_how_many_of_how_many() -> None:
    assert "2 of 9 services" in show("{% datatable t %}{% enddatatable %}", t=table())
    assert "9 services" in show("{% datatable t %}{% enddatatable %}", t=table(shown=9))


def test_an_empty_table_says_what_will_be_here() -> None:
    empty = Table(
        "t", "Services", COLUMNS, 0, 0, empty_title="No services yet", empty_text="Import them as files."
    )
    html = show("{% datatable t %}{% enddatatable %}", t=empty)
    assert "<table" not in html
    assert "No services yet" in html
    assert "Import them as files." in html


def test_only_a_column_of_the_table_can_be_sorted_by() -> None:
    assert sort_from(QueryDict("sort=-left"), COLUMNS, "name") == "-left"
    assert sort_from(QueryDict("sort=password"), COLUMNS, "name") == "name"
    assert sort_from(QueryDict("sort="), COLUMNS, "name") == "name"


def test_a_state_has_a_shape_beside_its_colour() -> None:
    assert show('{% chip "fine" "ok" %}') == (
        '<span class="chip ok"><span aria-hidden="true">●</span> fine</span>'
    )
    assert "▲" in show('{% chip "drift" "warn" %}')
    assert "■" in show('{% chip "spent" "bad" %}')


def test_names_are_escaped_wherever_they_stand() -> None:
    hostile = '<img src=x onerror="1">'
    html = show(
        "{% chip n %}{% fact n n n %}{% panel title=n right=n %}{{ n }}{% endpanel %}"
        "{% note %}{{ n }}{% endnote %}"
        '{% state kind="empty" title=n %}{{ n }}{% endstate %}',
        n=hostile,
    )
    assert "<img" not in html
    assert html.count("&lt;img") == 11


def test_a_time_can_be_read_by_a_machine() -> None:
    html = show("{{ t|utc }}", t=datetime(2024, 2, 29, 9, 30, tzinfo=UTC))
    assert html == '<time datetime="2024-02-29T09:30:00Z">29 Feb 2024, 09:30 UTC</time>'


def test_a_chance_has_its_figure_on_hover() -> None:
    assert show("{{ 0.05|chance }}") == '<span title="5\u202f%">1 month in 20</span>'


def test_a_problem_is_a_fragment_for_htmx() -> None:
    error = {
        "status": 403,
        "title": "Not allowed",
        "detail": "Only owners decide here.",
        "fields": (),
        "extra": {},
    }
    html = render_to_string("errors/problem.html#fragment", {"error": error, "request_id": "r-1"})
    assert "<html" not in html
    assert "data-problem" in html
    assert "Only owners decide here." in html
    assert "r-1" in html


def test_a_conflict_shows_what_holds_now() -> None:
    error = {"status": 409, "title": "Changed", "detail": "The owner was first."}
    row = {"label": "Target", "before": "99.5 %", "after": "99.9 %"}
    html = render_to_string(
        "errors/problem.html#fragment", {"error": error | {"extra": {"difference": [row]}}}
    )
    assert "You saw" in html
    assert "99.9 %" in html
    html = render_to_string(
        "errors/problem.html#fragment", {"error": error | {"extra": {"difference": {"state": "gone"}}}}
    )
    assert "state now" in html
    assert "gone" in html


def test_a_diff_strikes_only_what_changes() -> None:
    changes = [
        {"label": "Target", "before": "99 %", "after": "99.9 %"},
        {"label": "Window", "before": "28 d", "after": "28 d"},
    ]
    html = render_to_string("components/diff.html", {"changes": changes})
    assert html.count('class="before gone"') == 1
    assert html.count('class="after"') == 1


def test_one_row_is_counted_in_the_singular() -> None:
    def amount(noun: str, shown: int, total: int, note: str = "") -> str:
        return Table("t", "T", (), shown, total, noun, amount_note=note).amount

    assert amount("services", 1, 1) == "1 service"
    assert amount("entries", 1, 1) == "1 entry"
    assert amount("services", 0, 0) == "0 services"
    assert amount("recommendations", 8, 8, "of 5 services") == "8 recommendations of 5 services"
