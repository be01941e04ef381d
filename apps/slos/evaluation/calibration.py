"""How often recommendations held where the future was known: what the page of a service says of its numbers.

``calibration.json`` is made of the two committed reports, never written by hand: of the evaluation on simulated
services, and of that on real histories, which gives one regime: sites watched by probes.

    .venv/bin/python -m apps.slos.evaluation.calibration docs/evaluation/report.json docs/evaluation/real-histories.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from apps.engine.document import TierName

SHIPPED = Path(__file__).with_name("calibration.json")
TIERS: tuple[TierName, ...] = ("conservative", "balanced", "aggressive")
YOUNG = "young"
"""The family of services in their first week, as the report calls it."""


@dataclass(frozen=True, slots=True)
class Group:
    """Histories that look alike: how many futures were held out, and the share that missed each tier, 0..1.

    ``cases`` are services where they are simulated, each with one future, and windows where they are real.
    """

    cases: int
    missed: Mapping[str, float]
    standard_error: Mapping[str, float]
    is_real: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was simulated (``about``: services, seed, commit) and what was real (``real``: pages, sites, windows), the
    whole of the simulation, services in their first week, and each regime the engine sees.
    """

    about: Mapping[str, str]
    real: Mapping[str, str]
    overall: Group
    young: Group
    regimes: Mapping[str, Group]


if TYPE_CHECKING:
    from apps.engine.evaluation import tables

    class Simulated(tables.Report):
        about: Mapping[str, str | int]

    class Real(tables.Calibration):
        about: Mapping[str, str | int]
        regime: str


def condensed(report: Simulated, real: Real) -> Calibration:
    """Return what is shipped of the two reports: their origins, the whole, the first week, and the regimes.

    Of services in their first week those count that are as others of no known kind: who is far off its kind was
    simulated to be.
    """
    simulated = {name: _group(found, is_real=False) for name, found in report["groups"]["regime"].items()}
    return Calibration(
        about={
            "services": f"{report['overall']['services']:,} simulated, of {len(report['families'])} kinds",
            **{name: str(report["about"][name]) for name in ("shown", "seed", "commit")},
        },
        real={name: str(real["about"][name]) for name in ("pages", "sites", "windows", "shown", "judged")},
        overall=_group(report["overall"], is_real=False),
        young=_group(report["young"]["families"][YOUNG], is_real=False),
        regimes=simulated | {real["regime"]: _group(real, is_real=True)},
    )


def _group(found: tables.Calibration, *, is_real: bool) -> Group:
    tiers = {tier: cell for tier in TIERS if (cell := found[tier]) is not None}
    return Group(
        cases=found["with_number"],
        missed={tier: cell["missed"] for tier, cell in tiers.items()},
        standard_error={tier: cell["standard_error"] for tier, cell in tiers.items()},
        is_real=is_real,
    )


def written(report: Simulated, real: Real) -> str:
    """Return the shipped file's text for the two reports."""
    return json.dumps(asdict(condensed(report, real)), indent=1, sort_keys=True) + "\n"


@cache
def calibration() -> Calibration:
    """Return what is shipped; read once."""
    found = json.loads(SHIPPED.read_text())
    return Calibration(
        found["about"],
        found["real"],
        Group(**found["overall"]),
        Group(**found["young"]),
        {name: Group(**group) for name, group in found["regimes"].items()},
    )


def main(arguments: list[str]) -> int:
    """Make the shipped file of the two reports that are named."""
    if len(arguments) != 2:
        sys.stderr.write(
            "Name the two reports: python -m apps.slos.evaluation.calibration "
            "docs/evaluation/report.json docs/evaluation/real-histories.json\n"
        )
        return 2
    report, real = (json.loads(Path(name).read_text()) for name in arguments)
    SHIPPED.write_text(written(report, real))
    sys.stdout.write(f"{SHIPPED.name}: {len(calibration().regimes)} regimes.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
