"""``python -m console.edge [--host ADDRESS]``: serve the console on ``PORT``, web processes included."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from console.configuration import Configuration
from console.edge.server import Edge
from console.environment import ConfigurationError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m console.edge", description="Serve the console.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        configuration = Configuration.read()
    except ConfigurationError as error:
        sys.stderr.write(f"ballast: {error}\n")
        return 1
    try:
        return asyncio.run(Edge(configuration, arguments.host).run())
    except OSError as error:
        sys.stderr.write(f"ballast: port {configuration.port} of {arguments.host}: {error.strerror}\n")
        return 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The usual exit of the interpreter would wait for a check of the database that hangs.
    os._exit(status)
