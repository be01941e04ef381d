"""Real outages: the changes of state that status pages built on git keep in their commit subjects.

A subject such as ``🟥 Docs is down (503 in 90 ms)`` opens an outage, one with 🟩 or 🟨 closes it. Probes run every five
minutes, so an hour has twelve.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from apps.engine.types import CountSeries

HOUR = 3_600
PROBES = 12
SILENCE = 4 * 86_400
"""A site without news for longer than this was no longer watched."""
_SUBJECT = re.compile(r"^(\d+) (🟥|🟩|🟨) (.+?) (?:is|has|experiences|went|back) ")


def changes(repository: Path) -> dict[str, list[tuple[int, bool]]]:
    """Return each site's states as ``(Unix seconds, is up)`` in order of time; ``repository`` is a git directory."""
    log = subprocess.run(
        ["git", "-C", str(repository), "log", "--format=%ct %s"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for line in log.splitlines():
        match = _SUBJECT.match(line)
        if match:
            found[re.sub(r" \(.*$", "", match[3])].append((int(match[1]), match[2] != "🟥"))
    return {site: sorted(states) for site, states in sorted(found.items())}


def history(states: list[tuple[int, bool]]) -> CountSeries:
    """Turn states into hours of twelve probes; hours without news of the site are gaps."""
    begin = states[0][0] // HOUR * HOUR
    hours = (states[-1][0] - begin) // HOUR + 1
    down, watched = np.zeros(hours + 1), np.zeros(hours + 1)
    for (at, is_up), (until, _) in pairwise(states):
        if until - at <= SILENCE:
            _add(watched, at - begin, until - begin)
            if not is_up:
                _add(down, at - begin, until - begin)
    share = np.minimum(down[:hours], watched[:hours])
    total = np.where(watched[:hours] > 0.5, float(PROBES), np.nan)
    bad = np.minimum(PROBES, np.ceil(share * PROBES - 1e-9))
    return CountSeries(begin, HOUR, total, np.where(np.isnan(total), np.nan, bad))


def _add(hours: np.ndarray, begin: int, end: int) -> None:
    first, last = begin // HOUR, end // HOUR
    if first == last:
        hours[first] += (end - begin) / HOUR
        return
    hours[first] += 1 - begin % HOUR / HOUR
    hours[first + 1 : last] += 1.0
    hours[last] += end % HOUR / HOUR


def histories(directory: Path) -> dict[str, dict[str, CountSeries]]:
    """Read all repositories in a directory of git directories (``NAME/repo`` or ``NAME``): name → site → history."""
    found: dict[str, dict[str, CountSeries]] = {}
    for entry in sorted(directory.iterdir()):
        for path in (entry / "repo", entry):
            if (path / "HEAD").is_file() or (path / ".git").is_dir():
                sites = {name: history(states) for name, states in changes(path).items() if len(states) > 2}
                if sites:
                    found[entry.name] = sites
                break
    return found
