"""The application that granian serves behind the edge. It takes the client's address from the edge's header."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.edge.web import GRANIAN
from console.embedded.identity import die_with_parent

if GRANIAN in os.environ:
    # Before the application is loaded, which takes seconds in which granian's worker hears no signal.
    die_with_parent(signal.SIGKILL, int(os.environ[GRANIAN]))

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
