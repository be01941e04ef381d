"""A small evaluation: prints how often simulated services miss their tiers; asserts nothing about the figures.

``BALLAST_BENCH_PER_FAMILY`` (default 20) sets how many services of each kind; ``manage.py evaluate`` does it at size.
"""

from __future__ import annotations

import os
from typing import Any

from apps.engine.evaluation.evaluate import TIERS
from apps.engine.evaluation.summary import summarise
from apps.engine.simulation.fleet import FAMILIES
from apps.slos.evaluation.evaluating import run


def test_it_prints_how_often_tiers_were_missed() -> None:
    """Print the missed share of each tier by kind of process, the loss beside the baselines', and the gap closed."""
    per_family = int(os.environ.get("BALLAST_BENCH_PER_FAMILY", "20"))
    outcomes = run(1, list(FAMILIES), per_family)
    summary: Any = summarise(outcomes)
    print(f"\n{'missed':<22}" + "".join(f"{tier:>14}" for tier in TIERS))
    print(f"{'said':<22}{'1 %':>14}{'5 %':>14}{'20 %':>14}")
    for name, row in [*summary["families"].items(), ("all", summary["overall"])]:
        print(f"{name:<22}" + "".join(f"{row[tier]['missed']:>14.1%}" for tier in TIERS))
    for method, values in summary["pinball"].items():
        print(f"{'loss 1e-5, ' + method:<28}" + "".join(f"{1e5 * values[tier]:>12.2f}" for tier in TIERS))
    print(f"{'gap closed':<28}" + "".join(f"{summary['gap_closed'][tier] or 0:>12.0%}" for tier in TIERS))
    assert len(outcomes) == per_family * len(FAMILIES)
    assert summary["overall"]["with_number"] >= 0.95 * len(outcomes)
