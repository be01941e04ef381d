"""Embedded PostgreSQL and Redis: what `make up`, the tests and every command use when no URL names real ones.

`embedded_urls` says where they are and starts nothing; `ensure` starts what does not run and holds it.
"""

from console.embedded.errors import EmbeddedError
from console.embedded.servers import Servers, embedded_urls, ensure
from console.embedded.state import Urls

__all__ = ["EmbeddedError", "Servers", "Urls", "embedded_urls", "ensure"]
