"""Rooms know each other by their doors only: the contract finds what goes past them."""

from __future__ import annotations

import pytest
from grimp import ImportGraph

from tools.contracts import Doors, behind_doors, unused_doors

DOORS = Doors(
    everywhere=frozenset({"queries", "services"}),
    named=frozenset({"rooms.shop.words"}),
    shared=frozenset({"rooms.core", "rooms.core.web"}),
    libraries=frozenset({"rooms.sums"}),
)


def graph_of(*imports: tuple[str, str]) -> ImportGraph:
    graph = ImportGraph()
    for module in ("rooms", *(one for pair in imports for one in pair)):
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            graph.add_module(".".join(parts[:end]))
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="")
    return graph


@pytest.mark.parametrize(
    "imported",
    [
        "rooms.shop.queries",
        "rooms.shop.services",
        "rooms.shop.words",
        "rooms.core.errors",
        "rooms.core.web",
        "rooms.core.web.pages",
        "rooms.sums.graph.cycles",
        "outside.library.deep",
    ],
)
def test_doors_may_be_used(imported: str) -> None:
    assert behind_doors(graph_of(("rooms.till.views", imported)), "rooms", DOORS) == []


@pytest.mark.parametrize(
    "imported",
    [
        "rooms.shop",
        "rooms.shop.prices",
        "rooms.shop.queries.page",
        "rooms.shop.words.long",
        "rooms.shop.making.services",
        "rooms.shopping.words",
        "rooms.core.runs.lease",
        "rooms.core.web.pages.rows",
        "rooms.core",
    ],
)
@pytest.mark.parametrize("importer", ["rooms.till", "rooms.till.views", "rooms.till.pages.bill"])
def test_what_lies_behind_a_door_is_found(importer: str, imported: str) -> None:
    assert behind_doors(graph_of((importer, imported)), "rooms", DOORS) == [(importer, imported)]


def test_a_room_may_use_all_of_itself() -> None:
    assert behind_doors(graph_of(("rooms.shop.views", "rooms.shop.queries.page")), "rooms", DOORS) == []


def test_a_named_door_that_nobody_else_uses_is_found() -> None:
    inside = graph_of(("rooms.shop.views", "rooms.shop.words"))
    assert unused_doors(inside, "rooms", DOORS) == ["rooms.shop.words"]
    assert unused_doors(graph_of(("rooms.till.views", "rooms.shop.words")), "rooms", DOORS) == []
