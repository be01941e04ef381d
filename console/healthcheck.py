"""Check that the console on this machine serves: ``python -m console.healthcheck``, for containers."""

from __future__ import annotations

import http.client
import os
import sys

from console.environment import ConfigurationError, Environment

TIMEOUT_S = 2.0


def answers(port: int) -> bool:
    """Return whether ``/-/healthz`` on ``port`` of this machine answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/-/healthz", headers={"Host": _allowed_host()})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _allowed_host() -> str:
    """Return a host name that Django accepts. Behind a proxy only the public name may be accepted."""
    hosts = [host.strip() for host in os.environ.get("ALLOWED_HOSTS", "").split(",")]
    named = [host.removeprefix(".") for host in hosts if host not in ("", "*")]
    return named[0] if named else "127.0.0.1"


if __name__ == "__main__":
    try:
        sys.exit(0 if answers(Environment(os.environ).number("PORT", 8000, least=1, most=65535)) else 1)
    except ConfigurationError as error:
        sys.exit(f"ballast: {error}")
