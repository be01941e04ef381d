"""A process that holds the embedded servers until its input ends.

``python -m tests.house.holder DATA_DIR`` prints their address and the process ids of guard and server.
"""

from __future__ import annotations

import sys
from pathlib import Path

from console.embedded import ensure
from console.embedded.locks import ready_path

if __name__ == "__main__":
    with ensure(Path(sys.argv[1]), durable=False) as servers:
        pids = ready_path(servers.data_dir, "postgres").read_text().strip()
        print(servers.database_url, pids, flush=True)
        sys.stdin.read()
