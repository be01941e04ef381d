"""Scores the engine on real outages: ``python -m tools.check_up_down DIRECTORY`` of git directories.

Rolling cuts: each shows up to 90 days (at least 60) and holds out the next 28. Windows never overlap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, Outcome
from apps.engine.evaluation.rolling import LEAST_DAYS, rolling
from apps.engine.evaluation.summary import calibration, losses
from apps.engine.types import ServiceInput
from tools.up_down_histories import histories

BOUNDS = (0.015, 0.035, 0.06)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--least-days", type=int, default=LEAST_DAYS)
    options = parser.parse_args()
    everything: list[Outcome] = []
    for repository, sites in histories(options.directory).items():
        outcomes = [
            each
            for name, series in sites.items()
            for each in rolling(ServiceInput(name, counts=series), repository, least_days=options.least_days)
        ]
        everything += outcomes
        if outcomes:
            _show(f"{repository} ({len(sites)} sites)", outcomes)
    _show("all", everything)


def _show(name: str, outcomes: list[Outcome]) -> None:
    row = calibration(outcomes, BOUNDS)
    found = losses(outcomes)
    shares = " / ".join(f"{100 * cell['missed']:.1f}" for tier in found["engine"] if (cell := row[tier]))
    plain = [
        np.mean([each.actual > each.predictions["block_bootstrap"][at] for each in outcomes])
        for at in range(len(CHANCES))
    ]
    ratios = " / ".join(
        f"{found['engine'][t] / max(found['block_bootstrap'][t], 1e-12):.2f}" for t in found["engine"]
    )
    print(  # noqa: T201
        f"{name}: {len(outcomes)} windows, missed {shares} %, block bootstrap "
        f"{' / '.join(f'{100 * each:.1f}' for each in plain)} %, loss against it {ratios}"
    )


if __name__ == "__main__":
    main()
