"""One service, one spelling: which ids are the same although they are written differently, and which only look alike.

Two ids are the same service when they are equal in Unicode's normalisation form C: "é" is one character or "e" and an
accent, and nobody sees which. Where a source does not tell capitals apart
(:attr:`~apps.catalog.sources.Standing.ignores_case`), ids that differ in nothing else are the same service, too. The
spelling that the catalog has is kept; a new one is stored composed. What is observed is kept as it was seen, because
metrics are asked for by these very names.

Ids that look alike and are not the same are kept as two services, and whoever sends them is told.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from django.db.models import QuerySet

from apps.catalog.models import MAX_SERVICE_ID_LENGTH, Service
from apps.catalog.sources import STANDING
from apps.core.alike import as_latin, look_of

NAMES_SHOWN = 5
"""How many pairs of names a remark tells; the others are counted."""
_INVISIBLE = "Cf"


def composed(name: str) -> str:
    """An id in the form in which ids are compared: Unicode's normalisation form C."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def stored(name: str) -> str:
    """The form in which a new id is stored: composed, unless that makes it too long, which few scripts can."""
    found = composed(name)
    return found if len(found) <= MAX_SERVICE_ID_LENGTH else name


def forms_of(name: str) -> list[str]:
    """The spellings under which the same id may be stored: as it is, composed and decomposed."""
    if name.isascii():
        return [name]
    return list(dict.fromkeys([name, composed(name), unicodedata.normalize("NFD", name)]))


def service_called(name: str, among: QuerySet[Service]) -> Service | None:
    """The service of this id, in the very spelling or, where there is none, in another Unicode form."""
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
    """In what two names of one look differ, in words: ``capitals only``."""
    for words, without in _DIFFERENCES:
        if without(one) == without(other):
            return f"{words} only"
    found = [words for words, without in _DIFFERENCES if without(one) != one or without(other) != other]
    return " and ".join(found) or "form"


def shown(name: str) -> str:
    """A name as a message repeats it: what cannot be seen in it is written as its code point."""
    return repr("".join(one if _is_plain(one) else f"<U+{ord(one):04X}>" for one in name))


def _is_plain(character: str) -> bool:
    return unicodedata.category(character) not in {_INVISIBLE, "Mn"} and (
        character == " " or not character.isspace()
    )


class Spellings:
    """The spelling of each id in one graph, settled against the ids that the catalog has.

    Parameters:
        known: the ids in the catalog.
        discovery_source: who sends the graph; it decides how ids are compared.
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
        """Against the services that there are now."""
        return cls(Service.objects.values_list("service_id", flat=True), discovery_source)

    def settle(self, name: str) -> str:
        """The spelling that is kept for an id; the first one wins where the catalog has none."""
        found = self._settled.get(name)
        if found is None:
            new = name if self._is_byte_for_byte else stored(name)
            found = name if name in self._known else self._by_key.setdefault(self._key(name), new)
            self._settled[name] = found
        return found

    def find(self, name: str) -> str | None:
        """The spelling that is kept for an id that is known or was settled before; ``None`` for any other."""
        return self._settled.get(name) or (name if name in self._known else self._by_key.get(self._key(name)))

    def is_known(self, name: str) -> bool:
        """Whether the catalog has a service of this very id."""
        return name in self._known

    def remarks(self) -> list[str]:
        """What whoever sent the graph should know: ids that were taken as one, and ids that only look like one."""
        return [*self._taken_as_one(), *self._looking_alike()]

    def _key(self, name: str) -> str:
        if self._is_byte_for_byte:
            return name
        return composed(composed(name).casefold()) if self._ignores_case else composed(name)

    def _taken_as_one(self) -> list[str]:
        pairs = [
            f"{shown(name)} is {shown(kept)}, written with a difference in {difference(name, kept)}"
            for name, kept in self._settled.items()
            # A new id that was only composed has no other spelling to be confused with.
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
            "Names from this source are not told apart by capitals: retract the one that should not be there."
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
