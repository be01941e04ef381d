"""Read an address as it stands in ``X-Forwarded-For``. The edge and the pages read it alike. Needs no Django."""

from __future__ import annotations

import ipaddress
import re

_BRACKETED = re.compile(r"\[([^\]]+)\](:\d+)?")
_WITH_PORT = re.compile(r"([\d.]+):\d+")


def plain_address(text: str) -> str | None:
    """Return the address without brackets, port and zone, in its usual spelling; ``None`` where it is none."""
    found = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    try:
        return str(ipaddress.ip_address((found[1] if found else text).partition("%")[0]))
    except ValueError:
        return None


def forwarded_address(forwarded_for: str, proxies: int) -> str | None:
    """Return what stands ``proxies`` places from the right, or the leftmost where there are fewer; unparsed.

    Each proxy has appended the address it saw, so the client may have written everything further left itself. Returns
    ``None`` where the header is empty.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    return hops[-min(proxies, len(hops))] if hops else None
