"""What granian serves behind the edge: the console, told the address of the connection that the edge holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.wsgi import application as console

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PEER = "HTTP_X_BALLAST_PEER"
ADDRESS = "REMOTE_ADDR"


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Only the edge reaches the socket that this is served on, and it takes the header out of what clients send."""
    environ[ADDRESS] = environ.pop(PEER, "")
    return console(environ, start_response)
