"""The contract that rooms import only each other's doors, checked by ``lint-imports``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


@dataclass(frozen=True, slots=True)
class Doors:
    """What may be imported of a room from outside.

    ``everywhere`` names the doors that every room may have (``queries``), ``named`` further doors of single rooms
    (``apps.slos.formatting``). Each module directly in a ``shared`` package is a door, and so is each module of a
    library.
    """

    everywhere: frozenset[str]
    named: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()

    def may_enter(self, room: str, module: str) -> bool:
        """Whether another room may import ``module``, which is ``room`` itself or a module in it."""
        if room in self.libraries or module in self.named:
            return True
        package, _, name = module.rpartition(".")
        return package in self.shared or (package == room and name in self.everywhere)


def rooms_in(graph: ImportGraph, parent: str) -> dict[str, str]:
    """Return the room of each module below ``parent``."""
    return {
        module: room
        for room in graph.find_children(parent)
        for module in (room, *graph.find_descendants(room))
    }


def behind_doors(graph: ImportGraph, parent: str, doors: Doors) -> list[tuple[str, str]]:
    """Return (importer, imported) for each import from one room of ``parent`` into another that uses no door."""
    room_of = rooms_in(graph, parent)
    return sorted(
        (importer, imported)
        for importer, room in room_of.items()
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported in room_of
        and room_of[imported] != room
        and not doors.may_enter(room_of[imported], imported)
    )


def unused_doors(graph: ImportGraph, parent: str, doors: Doors) -> list[str]:
    """Return the named doors that do not exist, or that no other room uses."""
    room_of = rooms_in(graph, parent)
    used = {
        imported
        for importer, room in room_of.items()
        for imported in graph.find_modules_directly_imported_by(importer)
        if room_of.get(imported) != room
    }
    return sorted(doors.named - used)


class DoorsContract(Contract):
    """Rooms below ``parent`` import each other's doors only.

    Options: ``parent``, and those of :class:`Doors`. A named door that nobody uses breaks the contract, too.
    """

    type_name = "doors"

    parent = fields.StringField()
    doors = fields.SetField(subfield=fields.StringField())
    named_doors = fields.SetField(subfield=fields.StringField(), required=False)
    shared_packages = fields.SetField(subfield=fields.StringField(), required=False)
    libraries = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find what breaks the contract."""
        given = (self.doors, self.named_doors, self.shared_packages, self.libraries)
        doors = Doors(*(frozenset(cast(set[str] | None, names) or ()) for names in given))
        parent = str(self.parent)
        illegal = [
            (
                importer,
                imported,
                min(
                    detail["line_number"]
                    for detail in graph.get_import_details(importer=importer, imported=imported)
                ),
            )
            for importer, imported in behind_doors(graph, parent, doors)
        ]
        unused = unused_doors(graph, parent, doors)
        return ContractCheck(kept=not illegal and not unused, metadata={"illegal": illegal, "unused": unused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what breaks the contract, one line each."""
        for importer, imported, line in check.metadata["illegal"]:
            output.print_error(
                f"{importer} (l. {line}) imports {imported}, which is no door of its room.", bold=False
            )
        for door in check.metadata["unused"]:
            output.print_error(f"{door} is named as a door, and no other room uses it.", bold=False)
