"""The report's section about latency."""

from __future__ import annotations

from collections.abc import Mapping

from apps.engine.evaluation.evaluate import TIERS
from apps.engine.evaluation.report import TITLES, calibration_row, reliability_table
from apps.engine.evaluation.tables import Calibrations, LatencySummary


def bins_markdown(summary: Mapping[str, LatencySummary]) -> str:
    """Write the section about sources that know bins' percentiles alone; empty where nothing was evaluated."""
    if not summary:
        return ""
    lines = [
        "",
        "# Latency, by bins' percentiles alone",
        "",
        "The same services, as a source without histograms shows them: the p95 and p99 of each hour or of each five "
        "minutes. A window is missed where more than one bin in twenty lies above the threshold.",
    ]
    for which, tables in summary.items():
        lines += _calibration_table(which, tables)
    return "\n".join(lines) + "\n"


def _calibration_table(which: str, tables: Calibrations) -> list[str]:
    lines = [
        "",
        f"## {which.removesuffix('_ms')}",
        "",
        "| group | services | with a number | 1 % | 5 % | 20 % |",
        "|---|---|---|---|---|---|",
        calibration_row("**all**", tables["overall"]),
    ]
    lines += [calibration_row(f"family: {name}", row) for name, row in tables["families"].items()]
    for grouping, rows in tables["groups"].items():
        lines += [calibration_row(f"{grouping}: {name.replace('_', ' ')}", row) for name, row in rows.items()]
    return lines


def latency_markdown(summary: Mapping[str, LatencySummary]) -> str:
    """Write the section about latency; empty where nothing was evaluated."""
    if not summary:
        return ""
    lines = [
        "",
        "# Latency",
        "",
        "The same for thresholds of p95 and p99: for how many services the next window's percentile, read from its "
        "summed buckets, exceeded a threshold with the stated chance. Where readings tie with a threshold on a "
        "bucket's bound, the share is a range.",
    ]
    for which, tables in summary.items():
        lines += _calibration_table(which, tables)
        if not tables["pinball"]:
            continue
        if tables["exact_slower"] is not None:
            exact = " / ".join(
                f"{100 * tables['exact_slower'][tier]:.1f} ± {100 * error:.1f} %"
                for tier, error in zip(TIERS, tables["reliability_error"], strict=True)
            )
            covered = " / ".join(
                f"{100 * share:.0f} ± {100 * tables['interval_coverage_error']:.1f} %"
                for tier in TIERS
                if (share := tables["interval_coverage"][tier]) is not None
            )
            lines += [
                "",
                f"The true percentile, which no histogram shows, was slower in {exact}: a reading is linear inside "
                "its bucket and mostly too slow. The 90 % intervals held the oracle's threshold for "
                f"{covered}.",
            ]
        lines += [
            "",
            *reliability_table(tables),
            "",
            "Mean pinball loss of the natural logarithm, 1e-4; less is better.",
            "",
            "| method | 1 % | 5 % | 20 % |",
            "|---|---|---|---|",
        ]
        for method, values in tables["pinball"].items():
            lines.append(
                f"| {TITLES[method]} | " + " | ".join(f"{1e4 * values[tier]:.1f}" for tier in TIERS) + " |"
            )
        if "oracle" not in tables["pinball"]:
            continue
        lines += [
            "",
            "Share of the gap between the block bootstrap and the oracle that the engine closes "
            "(– where there is no gap):",
            "",
            "| | 1 % | 5 % | 20 % |",
            "|---|---|---|---|",
        ]
        for name, gaps in [("**all**", tables["gap_closed"]), *tables["gap_closed_by_family"].items()]:
            cells = ["–" if gaps[tier] is None else f"{gaps[tier]:.0%}" for tier in TIERS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
