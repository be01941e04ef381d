"""The report: Markdown to read and an SVG to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS
from apps.engine.evaluation.tables import Calibration, Summary, Young

TITLES = {
    "clopper_pearson": "Clopper–Pearson on pooled counts",
    "past_windows": "past windows' quantile",
    "iid_bootstrap": "bootstrap of hours",
    "block_bootstrap": "block bootstrap, 24 h",
    "engine": "this engine",
    "oracle": "oracle: knows the process, not its future",
}
_COLOURS = {
    "block_bootstrap": "#8a8f98",
    "iid_bootstrap": "#b9bec6",
    "engine": "#1f6feb",
    "oracle": "#2da44e",
}


def markdown(summary: Summary, about: Mapping[str, str]) -> str:
    """Write the report; ``about`` names what was evaluated, one line each."""
    lines = ["# How far the numbers can be trusted", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += [
        "",
        "A tier is a target with a stated chance of being missed in the next window. Below: the share of services "
        "that missed theirs in a window that the engine had not seen. ± is one standard error of that share, "
        "if the stated chance is exact. "
        "Where a window without any failure is likely, the share is a range: missed, and missed or met exactly.",
        "",
        "![Stated chance against missed share](reliability.svg)",
        "",
        "## Calibration",
        "",
        "| group | services | with a number | 1 % | 5 % | 20 % |",
        "|---|---|---|---|---|---|",
        calibration_row("**all**", summary["overall"]),
    ]
    if len(summary["families"]) > 1:
        lines += [calibration_row(f"family: {name}", row) for name, row in summary["families"].items()]
    for grouping, rows in summary["groups"].items():
        lines += [calibration_row(f"{grouping}: {name.replace('_', ' ')}", row) for name, row in rows.items()]
    lines += [
        "",
        "✗ marks shares outside their bounds (all ± 1 / 2 / 4 points; groups of 500 and more ± 2 / 4 / 8; hidden",
        "families and smaller groups ± 4 / 8 / 13).",
        "",
    ]
    lines += reliability_table(summary)
    lines += [
        "",
        "## Loss",
        "",
        "Mean pinball loss, 1e-5; less is better.",
        "",
        "| method | 1 % | 5 % | 20 % |",
        "|---|---|---|---|",
    ]
    for method, values in summary["pinball"].items():
        lines.append(
            f"| {TITLES[method]} | " + " | ".join(f"{1e5 * values[tier]:.2f}" for tier in TIERS) + " |"
        )
    if any(value is not None for value in summary["gap_closed"].values()):
        lines += [
            "",
            "Share of the gap between the block bootstrap and the oracle that the engine closes:",
            "",
            "| | 1 % | 5 % | 20 % |",
            "|---|---|---|---|",
        ]
        lines.append(
            "| **all** | " + " | ".join(share_text(summary["gap_closed"][tier]) for tier in TIERS) + " |"
        )
        lines += [
            f"| {family} | " + " | ".join(share_text(values[tier]) for tier in TIERS) + " |"
            for family, values in summary["gap_closed_by_family"].items()
        ]
        lines += [
            "",
            "How often the true quantile lies in the target's 90 % interval: "
            + ", ".join(
                f"{tier} {share_text(summary['interval_coverage'][tier])}"
                f" ± {100 * summary['interval_coverage_error']:.1f}"
                for tier in TIERS
            )
            + ".",
        ]
    return "\n".join(lines) + "\n"


def share_text(value: float | None) -> str:
    """Write a share in whole percent, or a dash for ``None``."""
    return "–" if value is None else f"{100 * value:.0f} %"


def calibration_row(name: str, row: Calibration) -> str:
    """Write one group as a row of a table: how many missed each tier, with the standard error of that share."""
    cells = []
    for tier in TIERS:
        cell = row[tier]
        if cell is None:
            cells.append("–")
            continue
        text = f"{100 * cell['missed']:.1f}"
        if cell["missed_or_met_exactly"] > cell["missed"] + 0.002:
            text += f"–{100 * cell['missed_or_met_exactly']:.1f}"
        cells.append(f"{text} ± {100 * cell['standard_error']:.1f}{'' if cell['within'] else ' ✗'}")
    number = f"{100 * row['with_number'] / max(1, row['services']):.0f} %"
    return f"| {name} | {row['services']:,} | {number} | " + " | ".join(cells) + " |"


def reliability_table(tables: Summary | Young) -> list[str]:
    """Write how many windows missed each method's predictions, with the standard error of that share."""
    lines = [
        "Share of windows missed, by method, of services with a number:",
        "",
        "| method | 1 % | 5 % | 20 % |",
        "|---|---|---|---|",
    ]
    for method, shares in tables["reliability"].items():
        cells = [
            f"{100 * share:.1f} ± {100 * error:.1f}"
            for share, error in zip(shares, tables["reliability_error"], strict=True)
        ]
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    return lines


def diagram(found: Mapping[str, Sequence[float]]) -> str:
    """Draw the stated chance against the missed share, both on logarithmic axes, as an SVG."""
    width, height, left, bottom, top = 560, 420, 64, 56, 24
    low, high = np.log10(0.002), np.log10(0.6)

    def x(value: float) -> float:
        return float(left + (np.log10(max(value, 0.002)) - low) / (high - low) * (width - left - 150))

    def y(value: float) -> float:
        return float(
            height - bottom - (np.log10(max(value, 0.002)) - low) / (high - low) * (height - bottom - top)
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Stated chance of missing a target against the share that missed it" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<line x1="{x(0.002):.1f}" y1="{y(0.002):.1f}" x2="{x(0.6):.1f}" y2="{y(0.6):.1f}" stroke="#d0d7de" '
        'stroke-dasharray="4 4"/>',
    ]
    for tick in (0.01, 0.05, 0.2, 0.5):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{height - bottom + 18}" text-anchor="middle" fill="#57606a">{tick:.0%}</text>'
        )
        parts.append(
            f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#57606a">{tick:.0%}</text>'
        )
        parts.append(
            f'<line x1="{left}" y1="{y(tick):.1f}" x2="{x(0.6):.1f}" y2="{y(tick):.1f}" stroke="#eaeef2"/>'
        )
    parts.append(
        f'<text x="{(left + x(0.6)) / 2:.0f}" y="{height - 14}" text-anchor="middle">stated chance of a miss</text>'
    )
    parts.append(
        f'<text x="16" y="{height / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 16 {height / 2:.0f})">windows missed</text>'
    )
    for number, (method, colour) in enumerate((m, c) for m, c in _COLOURS.items() if m in found):
        points = [(x(chance), y(share)) for chance, share in zip(CHANCES, found[method], strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in points]
        name = TITLES[method].split(":")[0]
        parts.append(
            f'<rect x="{width - 142}" y="{40 + 22 * number}" width="12" height="12" fill="{colour}"/>'
        )
        parts.append(f'<text x="{width - 124}" y="{50 + 22 * number}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
