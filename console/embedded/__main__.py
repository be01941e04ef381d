"""PostgreSQL's own programs on the embedded database: ``python -m console.embedded pg_dump -Fc > ballast.dump``.

They get server, role and database from the environment. The server runs for as long as they need it and is shared with
other users of the data folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import unquote, urlsplit

from console.configuration import Configuration
from console.embedded import EmbeddedError, ensure
from console.embedded.postgres_install import find_install
from console.environment import ConfigurationError

PROGRAMS = ("pg_dump", "pg_restore", "psql")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in PROGRAMS:
        sys.stderr.write(f"usage: python -m console.embedded {{{','.join(PROGRAMS)}}} [ARGUMENT…]\n")
        return 2
    try:
        configuration = Configuration.read()
        if configuration.database_url:
            raise ConfigurationError(
                f"DATABASE_URL is set, so there is no embedded database. Run {arguments[0]} on that server, "
                "or leave DATABASE_URL out."
            )
        with ensure(configuration.data_dir, redis=False) as servers:
            program = find_install() / "bin" / arguments[0]
            environment = os.environ | _connection(servers.database_owner_url)
            return subprocess.run([str(program), *arguments[1:]], env=environment, check=False).returncode
    except (ConfigurationError, EmbeddedError) as error:
        sys.stderr.write(f"ballast: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _connection(url: str) -> dict[str, str]:
    """Return an address as libpq's variables, because other users of the machine can see arguments but not these."""
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.strip("/"),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
