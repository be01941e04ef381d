"""A real Prometheus 2 for a test: rows become OpenMetrics, promtool makes blocks, Debian's server serves them.

:mod:`tests.real.prometheus3` does the same with a Prometheus 3.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import httpx
import pytest

_READY_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its full name (with ``_total`` or ``_bucket``) and its samples, series by series."""

    name: str
    kind: Literal["counter", "gauge", "unknown"]
    samples: Iterable[tuple[Mapping[str, str], float, float | None]]
    """Labels, Unix seconds, value; ``None`` marks the end of a series, which only Prometheus 3 can be filled with."""
    since: float | None = None
    """Since when these series count, in Unix seconds: their start timestamp, which only Prometheus 3 can keep."""


def require_prometheus() -> None:
    """Skip where Debian's prometheus is not installed; fail instead where real servers are required."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        not_here(f"{' and '.join(missing)} not on the PATH (Debian: apt-get install prometheus)")


def not_here(reason: str) -> NoReturn:
    """Skip the test, or fail it where real servers are required."""
    if os.environ.get("BALLAST_REQUIRE_REAL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def openmetrics(metrics: Iterable[Metric]) -> Iterator[str]:
    """Write metrics in the text format; each metric's lines stand together, the last line is ``# EOF``."""
    for metric in metrics:
        family = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        yield f"# TYPE {family} {metric.kind}\n"
        for labels, at, value in metric.samples:
            if value is None:
                raise ValueError(f"{metric.name}: the text format has no sign for the end of a series.")
            inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{metric.name}{{{inside}}} {value!r} {at:.3f}\n"
    yield "# EOF\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@contextmanager
def running_prometheus(folder: Path, metrics: Iterable[Metric]) -> Iterator[str]:
    """Load the metrics, serve them on a free loopback port, yield the address, stop the server.

    Parameters:
        folder: an empty folder for the text, the blocks and the log.
    """
    require_prometheus()
    text = folder / "samples.om"
    with text.open("w", encoding="utf-8") as out:
        out.writelines(openmetrics(metrics))
    blocks = folder / "data"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=960h", "openmetrics", text, blocks],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with serving("prometheus", blocks, folder) as url:
        yield url


@contextmanager
def serving(program: str | Path, blocks: Path, folder: Path, *options: str) -> Iterator[str]:
    """Serve blocks on a free loopback port, yield the address, stop the server.

    Parameters:
        program: a Prometheus of any version.
        folder: where configuration and log go.
        options: more arguments for the server.
    """
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h}\n")
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={blocks}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
                *options,
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(server, url, folder / "prometheus.log")
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/-/ready", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not become ready: {log.read_text(errors='replace')[-1000:]}")
