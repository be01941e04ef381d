"""Numbers the services that a folder may name, and makes the sentences for names that are unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.catalog.spelling import Spellings, difference, shown
from apps.core.text.alike import look_of
from apps.telemetry.clients.files.instants import quoted


class Names:
    """Gives the key of each service id, in whichever Unicode form it is written.

    Parameters:
        names: the known services, in their final spelling.
        spellings: finds the final spelling of a name.
        places: where a service is in the files, such as ``services.csv line 2``; all others are in the catalog.
        grows: whether an unknown name becomes a new service.
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
        """Names found in another form than the one that is kept, each with that form, in the order found."""
        self.keys = {name: key for key, name in enumerate(self.known)}
        self._spellings = spellings
        self._places = places or {}
        self._grows = grows
        self._looks: dict[str, str] = {}

    def __call__(self, name: str) -> int | None:
        """Return the key of a service, or ``None`` where no service has this name."""
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
        """Return the service that has a key."""
        return self.known[key]

    def remark(self, name: str, line: int) -> str:
        """Return the remark on a name that was found in another form."""
        kept = self.respelt[name]
        return (
            f"{shown(name)} in line {line} is taken for {shown(kept)} ({self._place(kept)}), which differs in "
            f"{difference(name, kept)}."
        )

    def missing(self, name: str) -> str:
        """Return why a name is no service, and which service may be meant."""
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
