"""The services that a folder may speak of, numbered, and what to say of a name that is none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.catalog.spelling import Spellings, difference, shown
from apps.core.alike import look_of
from apps.telemetry.clients.files.instants import quoted


class Names:
    """The key of each service id, whichever Unicode form it is written in.

    Parameters:
        names: the services there are, as they are spelt.
        spellings: what those spellings were settled with.
        places: where a service stands in the files, such as ``services.csv line 2``; any other is in the catalog.
        grows: take a name that is unknown for a new service.
    """

    def __init__(
        self,
        names: Iterable[str],
        spellings: Spellings,
        places: Mapping[str, str] | None = None,
        *,
        grows: bool = False,
    ) -> None:
        self.known = list(names)
        self.respelt: dict[str, str] = {}
        """Names that were met in another form than the one that is kept, in the order they were met."""
        self.keys = {name: key for key, name in enumerate(self.known)}
        self._spellings = spellings
        self._places = places or {}
        self._grows = grows
        self._looks: dict[str, str] = {}

    def __call__(self, name: str) -> int | None:
        """The key of a service, or ``None`` where there is none of this name."""
        key = self.keys.get(name)
        if key is None and name:
            kept = self._spellings.settle(name) if self._grows else self._spellings.find(name)
            if self._grows and kept is not None and kept not in self.keys:
                self.keys[kept] = len(self.known)
                self.known.append(kept)
            key = self.keys.get(kept) if kept is not None else None
            if key is not None and kept is not None and kept != name:
                self.keys[name] = key
                self.respelt[name] = kept
        return key

    def of(self, key: int) -> str:
        """The service of a key."""
        return self.known[key]

    def remark(self, name: str, line: int) -> str:
        """What to say of a name that was met in another form."""
        kept = self.respelt[name]
        return (
            f"{shown(name)} in line {line} is taken for {shown(kept)} ({self._place(kept)}), which differs in "
            f"{difference(name, kept)}."
        )

    def missing(self, name: str) -> str:
        """Why a name is no service, and which one may be meant."""
        if not name:
            return "is empty"
        if not self._looks:
            self._looks = {look_of(one): one for one in reversed(self.known)}
        meant = self._looks.get(look_of(name))
        if meant is None:
            return f"{quoted(name)} is no service; add it to services.csv"
        return (
            f"{shown(name)} is no service; did you mean {shown(meant)} ({self._place(meant)}), which differs in "
            f"{difference(name, meant)}?"
        )

    def _place(self, name: str) -> str:
        return self._places.get(name, "in the catalog")
