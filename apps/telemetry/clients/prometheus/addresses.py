"""Refuses addresses that belong to no Prometheus but hand out the credentials of a cloud machine."""

from __future__ import annotations

import ipaddress

from apps.telemetry.clients.errors import SourceRefused

#: Amazon's metadata address, which is outside fe80::/10.
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254")})


def refuse_link_local(host: str) -> None:
    """Refuse an address in 169.254.0.0/16 or fe80::/10, or of a cloud's metadata. A host name passes.

    Raises:
        SourceRefused: the host is such an address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local or address in _METADATA:
        raise SourceRefused(
            f"{host} is a link-local address, where no Prometheus is. Write the address of your Prometheus."
        )
