"""Gives each service one spelling: finds ids that are the same in different spellings, and ids that only look alike.

Two ids are the same service if they are equal in Unicode's normalisation form C: "é" is one character, or "e" and an
accent, which look the same. For a source that ignores case
(:attr:`~apps.catalog.sources.Standing.ignores_case`), ids that differ only in case are the same service too. The
catalog's spelling is kept; a new id is stored composed. Observed ids are stored as they were seen, because metrics are
asked for by exactly these names.

Ids that look alike but are not the same stay two services, and the sender gets a warning.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from django.db.models import QuerySet

from apps.catalog.models import MAX_SERVICE_ID_LENGTH, Service
from apps.catalog.sources import STANDING
from apps.core.text.alike import as_latin, look_of

NAMES_SHOWN = 5
"""How many pairs of names a remark lists; the others are counted."""
_INVISIBLE = "Cf"


def composed(name: str) -> str:
    """Return an id in the form for comparisons: Unicode's normalisation form C."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def stored(name: str) -> str:
    """Return a new id in the form to store: composed, unless that makes it too long, as in few scripts."""
    found = composed(name)
    return found if len(found) <= MAX_SERVICE_ID_LENGTH else name


def forms_of(name: str) -> list[str]:
    """Return the spellings under which the same id may be stored: as it is, composed and decomposed."""
    if name.isascii():
        return [name]
    return list(dict.fromkeys([name, composed(name), unicodedata.normalize("NFD", name)]))


def service_called(name: str, among: QuerySet[Service]) -> Service | None:
    """Return the service with this id, in exactly this spelling or otherwise in another Unicode form."""
    forms = forms_of(name)
    return min(among.filter(service_id__in=forms), key=lambda one: forms.index(one.service_id), default=None)


_DIFFERENCES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("the form of its accents", composed),
    ("capitals", lambda name: composed(name.casefold())),
    ("white space", lambda name: composed("".join(name.split()))),
    (
        "invisible characters",
        lambda name: composed("".join(c for c in name if unicodedata.category(c) != _INVISIBLE)),
    ),
    ("the width or form of its characters", lambda name: unicodedata.normalize("NFKC", name)),
    ("its alphabet", as_latin),
)


def difference(one: str, other: str) -> str:
    """Return in words how two names that look the same differ: ``capitals only``."""
    for words, without in _DIFFERENCES:
        if without(one) == without(other):
            return f"{words} only"
    found = [words for words, without in _DIFFERENCES if without(one) != one or without(other) != other]
    return " and ".join(found) or "form"


def shown(name: str) -> str:
    """Return a name as a message repeats it: with code points in place of invisible characters."""
    return repr("".join(one if _is_plain(one) else f"<U+{ord(one):04X}>" for one in name))


def _is_plain(character: str) -> bool:
    return unicodedata.category(character) not in {_INVISIBLE, "Mn"} and (
        character == " " or not character.isspace()
    )


class Spellings:
    """Settles the spelling of each id in one graph, by the ids that the catalog has.

    Parameters:
        known: the ids in the catalog.
        discovery_source: the source of the graph; it decides how ids are compared.
    """

    def __init__(self, known: Iterable[str], discovery_source: str) -> None:
        standing = STANDING[discovery_source]
        self._is_byte_for_byte = not standing.declares
        self._ignores_case = standing.ignores_case
        self._known = frozenset(known)
        self._settled: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        for name in sorted(self._known):
            self._by_key.setdefault(self._key(name), name)

    @classmethod
    def of_catalog(cls, discovery_source: str) -> Spellings:
        """Make spellings for the present services of the catalog."""
        return cls(Service.objects.values_list("service_id", flat=True), discovery_source)

    def settle(self, name: str) -> str:
        """Return the spelling to keep for an id; the first one in the graph where the catalog has none."""
        found = self._settled.get(name)
        if found is None:
            new = name if self._is_byte_for_byte else stored(name)
            found = name if name in self._known else self._by_key.setdefault(self._key(name), new)
            self._settled[name] = found
        return found

    def find(self, name: str) -> str | None:
        """Return the spelling of an id that is known or was settled before; ``None`` for any other id."""
        return self._settled.get(name) or (name if name in self._known else self._by_key.get(self._key(name)))

    def is_known(self, name: str) -> bool:
        """Return whether the catalog has a service with exactly this id."""
        return name in self._known

    def remarks(self) -> list[str]:
        """Return warnings for the sender: ids that were taken as one service, and ids that only look alike."""
        return [*self._taken_as_one(), *self._looking_alike()]

    def _key(self, name: str) -> str:
        if self._is_byte_for_byte:
            return name
        return composed(composed(name).casefold()) if self._ignores_case else composed(name)

    def _taken_as_one(self) -> list[str]:
        pairs = [
            f"{shown(name)} is {shown(kept)}, written with a difference in {difference(name, kept)}"
            for name, kept in self._settled.items()
            # A new id that was only composed has no other spelling to confuse it with.
            if name != kept and (kept in self._known or kept in self._settled)
        ]
        return _listed_pairs(pairs, "Taken as one service: ")

    def _looking_alike(self) -> list[str]:
        looks: dict[str, set[str]] = {}
        for name in {*self._known, *self._settled.values()}:
            looks.setdefault(look_of(name), set()).add(name)
        mine = set(self._settled.values())
        pairs = []
        for names in looks.values():
            if len(names) > 1 and names & mine:
                first, *others = sorted(names, key=lambda name: (name not in self._known, name))
                pairs += [
                    f"{shown(first)} and {shown(other)} differ in {difference(first, other)}"
                    for other in others
                ]
        again = (
            "This source ignores capitals in names: retract the one that should not be there."
            if self._ignores_case
            else "If they are one, write one name everywhere."
        )
        return _listed_pairs(pairs, "Kept as different services although they look alike: ", f" {again}")


def _listed_pairs(pairs: list[str], before: str, after: str = "") -> list[str]:
    if not pairs:
        return []
    more = len(pairs) - NAMES_SHOWN
    rest = f"; and {more:,} more" if more > 0 else ""
    return [f"{before}{'; '.join(pairs[:NAMES_SHOWN])}{rest}.{after}"]
