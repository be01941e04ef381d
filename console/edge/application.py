"""The application that granian serves behind the edge. It takes the client's address from the edge's header."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.wsgi import application as console

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PEER = "HTTP_X_BALLAST_PEER"
ADDRESS = "REMOTE_ADDR"


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Serve a request with the client's address from the edge's header.

    The header can be trusted: only the edge reaches this socket, and it removes the header from clients' requests.
    """
    environ[ADDRESS] = environ.pop(PEER, "")
    return console(environ, start_response)
