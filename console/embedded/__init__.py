"""Embedded PostgreSQL and Redis: what `make up`, the tests and every command use when no URL names real ones.

`embedded_urls` returns their addresses and starts nothing. `ensure` starts the servers that do not run and holds them.
"""

from console.embedded.errors import EmbeddedError
from console.embedded.servers import Servers, embedded_urls, ensure
from console.embedded.state import Urls

__all__ = ["EmbeddedError", "Servers", "Urls", "embedded_urls", "ensure"]
