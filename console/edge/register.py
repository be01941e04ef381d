"""Who is connected: how many from each address, and who has to go first when there are too many."""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from typing import Protocol

from apps.core.errors import BallastError, RateLimited, Unavailable


class Connected(Protocol):
    """What the register knows of a connection. ``due`` is when its client has to have done its part."""

    due: float

    @property
    def is_resting(self) -> bool: ...

    def expire(self) -> None: ...

    def end(self, reason: BallastError | None) -> None: ...


def counted_as(address: str) -> str:
    """Under which name an address is counted: IPv6 by its /64, which one customer has for himself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class Register:
    """All connections, by address.

    When an address has too many, the one whose deadline is nearest is closed: whoever keeps the server waiting
    gives way to whoever comes, so that a flood from one address does not lock out its neighbours behind the same
    address. Connections that a web process is working for are never closed for others.
    """

    def __init__(self, *, limit: int, per_address: int) -> None:
        self.limit = limit
        self.per_address = per_address
        self._by_address: defaultdict[str, set[Connected]] = defaultdict(set)
        self._all: set[Connected] = set()

    def __len__(self) -> int:
        return len(self._all)

    def everybody(self) -> list[Connected]:
        return list(self._all)

    def add(self, connection: Connected) -> BallastError | None:
        """Count a new connection. Returns why it may ask for nothing but a probe, where nobody gives way to it."""
        refusal = None
        if len(self._all) >= self.limit and not _make_room(self._all, _full(self.limit)):
            refusal = _full(self.limit)
        self._all.add(connection)
        return refusal

    def assign(self, connection: Connected, address: str) -> BallastError | None:
        """Count a connection for ``address``. Returns a refusal where the address has too many that are at work."""
        others = self._by_address[address]
        refusal = None
        if len(others) >= self.per_address:
            reason = _too_many(self.per_address)
            refusal = None if _make_room(others, reason) else reason
        others.add(connection)
        return refusal

    def unassign(self, connection: Connected, address: str) -> None:
        others = self._by_address[address]
        others.discard(connection)
        if not others:
            del self._by_address[address]

    def remove(self, connection: Connected) -> None:
        self._all.discard(connection)


def _make_room(connections: set[Connected], reason: BallastError) -> bool:
    """End the connection whose deadline is nearest. Returns whether there was one that waits for its client."""
    first = min(connections, key=lambda connection: connection.due)
    if math.isinf(first.due):
        return False
    connections.discard(first)
    first.end(reason)
    return True


def _too_many(limit: int) -> RateLimited:
    return RateLimited(
        f"Your address has more than {limit} connections open. Close some, or ask again in a moment.",
        headers={"Retry-After": "5"},
    )


def _full(limit: int) -> Unavailable:
    return Unavailable(
        f"All {limit:,} connections are in use. Ask again in a moment.", headers={"Retry-After": "5"}
    )
