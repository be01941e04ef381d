"""The connections: how many each address has, and which must go first when there are too many."""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from typing import Protocol

from apps.core.errors import BallastError, RateLimited, Unavailable


class Connected(Protocol):
    """What the register knows about a connection.

    ``due`` is the time by which its client must have done its part. ``is_taking`` says that this part is to take an
    answer.
    """

    due: float

    @property
    def is_resting(self) -> bool: ...

    @property
    def is_taking(self) -> bool: ...

    def expire(self) -> None: ...

    def end(self, reason: BallastError | None) -> None: ...


def counted_as(address: str) -> str:
    """Return the name under which an address is counted: for IPv6 its /64, because one customer has all of it."""
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

    When an address has too many, the one with the nearest deadline is closed: clients that keep the server waiting give
    way to new ones, so that one flooding client does not lock out others behind the same address. A connection that a
    web process is working for is never closed for another.
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
        """Count a new connection. Where none can give way to it, return why it may only send a probe."""
        refusal = None
        if len(self._all) >= self.limit and not _make_room(self._all, _full(self.limit)):
            refusal = _full(self.limit)
        self._all.add(connection)
        return refusal

    def assign(self, connection: Connected, address: str) -> BallastError | None:
        """Count a connection for ``address``. Return a refusal where too many of the address are at work."""
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
    """End the waiting connection with the nearest deadline. Return whether there was one that waits for its client."""
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
