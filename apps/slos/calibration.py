"""How often recommendations held where the future was known: what the page of a service says of its numbers.

``calibration.json`` is made of the committed evaluation report, never written by hand:

    .venv/bin/python -m apps.slos.calibration docs/evaluation/report.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("calibration.json")
TIERS = ("conservative", "balanced", "aggressive")


@dataclass(frozen=True, slots=True)
class Group:
    """Simulated services that look alike: how many, and the share of them that missed each tier, 0..1."""

    services: int
    missed: Mapping[str, float]
    standard_error: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was evaluated (``about``: services, seed, commit), all of it, and each regime the engine sees."""

    about: Mapping[str, str]
    overall: Group
    regimes: Mapping[str, Group]


def condensed(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shipped of an evaluation report: its origin, the whole, and the regimes."""
    return {
        "about": {name: str(report["about"][name]) for name in ("services", "shown", "seed", "commit")},
        "overall": _group(report["overall"]),
        "regimes": {name: _group(found) for name, found in sorted(report["groups"]["regime"].items())},
    }


def _group(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "services": found["with_number"],
        "missed": {tier: found[tier]["missed"] for tier in TIERS},
        "standard_error": {tier: found[tier]["standard_error"] for tier in TIERS},
    }


def written(report: Mapping[str, Any]) -> str:
    """Return the shipped file's text for a report."""
    return json.dumps(condensed(report), indent=1, sort_keys=True) + "\n"


@cache
def calibration() -> Calibration:
    """Return what is shipped; read once."""
    found = json.loads(SHIPPED.read_text())
    return Calibration(
        found["about"],
        Group(**found["overall"]),
        {name: Group(**group) for name, group in found["regimes"].items()},
    )


def main(arguments: list[str]) -> int:
    """Make the shipped file of the report that is named."""
    if len(arguments) != 1:
        sys.stderr.write("Name the report: python -m apps.slos.calibration docs/evaluation/report.json\n")
        return 2
    SHIPPED.write_text(written(json.loads(Path(arguments[0]).read_text())))
    sys.stdout.write(f"{SHIPPED.name}: {len(calibration().regimes)} regimes.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
