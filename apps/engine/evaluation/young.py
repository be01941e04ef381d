"""How recommendations hold in a service's first week, and what a prior that is far off does to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.engine.evaluation.evaluate import CHANCES, TIERS, Outcome, evaluate_simulated
from apps.engine.evaluation.grouping import (
    FAMILY_BOUNDS,
    Bounds,
    by_family,
    chance_errors,
    coverage_error,
    interval_coverage,
)
from apps.engine.evaluation.report import TITLES, calibration_row, reliability_table, share_text
from apps.engine.evaluation.summary import calibration, losses, reliability
from apps.engine.evaluation.tables import Calibration, Young
from apps.engine.simulation.young import BETTER, YOUNG_FAMILIES, simulate_young, young_generator

LEVELS = ((0.0, "none counted"), (1e-3, "under 0.1 %"), (1e-2, "0.1 to 1 %"), (0.1, "1 to 10 %"))
WORST = "10 % and more"
LEAST_JUDGED = 100
"""Groups of fewer services are shown but not judged."""
NO_BOUNDS: Bounds = (1.0, 1.0, 1.0)


def evaluate_young_numbers(job: tuple[int, Iterable[int]]) -> list[Outcome]:
    """Simulate and evaluate young services ``(seed, numbers)`` of each family: one process's part."""
    seed, numbers = job
    return [
        evaluate_simulated(
            simulate_young(young_generator(seed, family, number), family, f"{family}-{number}"),
            seed * 1_000_003 + at * 100_003 + number,
        )
        for number in numbers
        for at, family in enumerate(YOUNG_FAMILIES)
    ]


def summarise_young(outcomes: Sequence[Outcome]) -> Young:
    """Return all tables about young services, JSON-ready; empty without outcomes.

    The visible groups leave out services that are much better than their kind: these may miss their tiers more rarely
    than stated.
    """
    if not outcomes:
        return {}
    families = {name: calibration(members, FAMILY_BOUNDS) for name, members in by_family(outcomes).items()}
    if BETTER in families:
        families[BETTER] = _at_most(families[BETTER])
    judged = [each for each in outcomes if each.family != BETTER and "engine" in each.predictions]
    return {
        "families": families,
        "groups": {
            "history": _grouped(judged, [_days(each.days) for each in judged]),
            "failures": _grouped(judged, [_level(each.observed) for each in judged]),
        },
        "pinball_by_family": {name: losses(members) for name, members in by_family(outcomes).items()},
        "interval_coverage": interval_coverage(outcomes),
        "interval_coverage_error": coverage_error(outcomes),
        "reliability": reliability(outcomes),
        "reliability_error": chance_errors(outcomes),
    }


def _at_most(row: Calibration) -> Calibration:
    """Judge a row only by whether tiers are missed too often."""
    judged = row.copy()
    for tier, chance, bound in zip(TIERS, CHANCES, FAMILY_BOUNDS, strict=True):
        cell = row[tier]
        if cell is not None:
            judged[tier] = {**cell, "within": bool(cell["missed"] <= chance + bound)}
    return judged


def _grouped(outcomes: Sequence[Outcome], labels: Sequence[str]) -> dict[str, Calibration]:
    found: dict[str, Calibration] = {}
    for label in (*map(_days, range(1, 7)), *(name for _, name in LEVELS), WORST):
        members = [each for each, other in zip(outcomes, labels, strict=True) if other == label]
        if members:
            found[label] = calibration(members, FAMILY_BOUNDS if len(members) >= LEAST_JUDGED else NO_BOUNDS)
    return found


def _days(days: float) -> str:
    whole = int(days)
    return f"{whole} day{'s' if whole > 1 else ''}"


def _level(observed: float | None) -> str:
    failed = 0.0 if observed is None else 1 - observed
    return next((name for level, name in LEVELS if failed <= level), WORST)


def young_markdown(tables: Young) -> str:
    """Write the report's section about the first week; empty without tables."""
    if not tables:
        return ""
    lines = [
        "",
        "# The first week",
        "",
        "Services of 1 to 6 days: the archetype's prior is part of each target. *Much worse* and *much better than its "
        "kind*: their requests fail 3 to 300 times as often, or as rarely, as is typical of their stated archetype "
        "(at most 60 % of requests), and they are of families whose level shows within days.",
        "",
        "| group | services | with a number | 1 % | 5 % | 20 % |",
        "|---|---|---|---|---|---|",
        *(calibration_row(f"family: {name}", row) for name, row in tables["families"].items()),
        *(
            calibration_row(f"{grouping}: {name}", row)
            for grouping, rows in tables["groups"].items()
            for name, row in rows.items()
        ),
        "",
        "✗ marks shares off by more than 4 / 8 / 13 points. Services much better than their kind are judged only by",
        "whether they miss too often: missing more rarely is the cost of a prior that expects less of them. Groups by",
        f"history and failures counted leave them out. Groups of fewer than {LEAST_JUDGED} services are not judged.",
        "",
        *reliability_table(tables),
        "",
        "Mean pinball loss, 1e-5, by family:",
        "",
        "| family | method | 1 % | 5 % | 20 % |",
        "|---|---|---|---|---|",
    ]
    for family, methods in tables["pinball_by_family"].items():
        for method in ("block_bootstrap", "engine", "oracle"):
            cells = " | ".join(f"{1e5 * methods[method][tier]:.2f}" for tier in TIERS)
            lines.append(f"| {family} | {TITLES[method]} | {cells} |")
    lines += [
        "",
        "How often the true quantile lies in the target's 90 % interval: "
        + ", ".join(
            f"{tier} {share_text(tables['interval_coverage'][tier])} ± {100 * tables['interval_coverage_error']:.1f}"
            for tier in TIERS
        )
        + ".",
    ]
    return "\n".join(lines) + "\n"
