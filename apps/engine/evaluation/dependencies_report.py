"""The report's sections about dependencies: how well edges are estimated, and how well graphs are composed."""

from __future__ import annotations

from collections.abc import Mapping

from apps.engine.evaluation.tables import Composite, Coverage, Differences, EdgeCoverage

EDGE_TITLES = {
    "q_from_calls": "q from calls over the edge",
    "q_from_traffic": "q from traffic of caller and target",
    "h_from_edge_series": "h from edge series",
    "h_from_target_series": "h from target series",
}


def edges_markdown(summary: Mapping[str, EdgeCoverage]) -> str:
    """Write the section about call probability and hardness; empty where nothing was evaluated."""
    if not summary:
        return ""
    lines = [
        "",
        "# Edges",
        "",
        "How often the 90 % interval of an edge's call probability q or hardness h holds the true value, on simulated "
        "services. ± is one standard error, if the coverage is 90 %. Learned: edges for which the data suffice; the "
        "others keep the declaration or the prior. An interval can miss a true value of 0 or 1 on one side only.",
        "",
        "| figure | edges | learned | true value strictly between 0 and 1 | held | true value 0 or 1 | held |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in summary.items():
        learned = f"{100 * row['learned'] / max(1, row['edges']):.0f} %"
        cells = f"{_coverage(row['inside'])} | {_coverage(row['at_0_or_1'])}"
        lines.append(f"| {EDGE_TITLES[name]} | {row['edges']:,} | {learned} | {cells} |")
    lines += [
        "",
        "✗ marks a coverage outside 85 to 95 % for true values strictly between 0 and 1, over at least 100 edges.",
    ]
    return "\n".join(lines) + "\n"


def _coverage(cell: Coverage | None) -> str:
    if cell is None:
        return "0 | –"
    return f"{cell['edges']:,} | {100 * cell['covered']:.1f} % ± {100 * cell['standard_error']:.1f}{_cross(cell)}"


def _cross(cell: Coverage | Differences) -> str:
    return " ✗" if cell.get("within") is False else ""


def composite_markdown(summary: Composite) -> str:
    """Write the section about the composite of whole graphs; empty where nothing was evaluated."""
    if not summary:
        return ""
    limits = list(summary["chance"])
    lines = [
        "",
        "# Composite",
        "",
        f"Availability of every node of {summary['graphs']:,} random graphs of 3 to 12 nodes (shared nodes, stand-ins, "
        "retries, cycles, asynchronous calls) against a simulation that draws worlds and lets failures spread, in "
        "standard errors of the difference. Enumerated: exact, by conditioning. Sampled: by Monte Carlo, with the "
        "error it states. Nodes beyond 3 are sampled again with sixteen times the worlds.",
        "",
        "| method | nodes | mean | standard deviation | "
        + " | ".join(f"beyond {limit}" for limit in limits)
        + " | largest | again beyond 3 |",
        "|---|---|---|---|" + "---|" * (len(limits) + 2),
    ]
    for method, row in summary["methods"].items():
        beyond = " | ".join(_share(row["beyond"][limit]) for limit in limits)
        lines.append(
            f"| {method} | {row['nodes']:,} | {row['mean']:.2f} | {row['standard_deviation']:.2f} | "
            f"{beyond}{_cross(row)} | {row['largest']:.1f} | {row['still_beyond']} of {row['looked_at_again']} |"
        )
    chance = " | ".join(_share(summary["chance"][limit]) for limit in limits)
    lines += [
        f"| chance alone | | 0 | 1 | {chance} | | |",
        "",
        "✗ marks more nodes beyond 3, at first or again, than chance gives once in 1,000 evaluations.",
    ]
    return "\n".join(lines) + "\n"


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def edges_line(summary: Mapping[str, EdgeCoverage]) -> str:
    """State in one line how often the intervals hold a true value strictly between 0 and 1."""
    cells = [
        f"{EDGE_TITLES[name]} " + ("–" if row["inside"] is None else _coverage(row["inside"]).split("| ")[1])
        for name, row in summary.items()
    ]
    return f"Edges, 90 % intervals that hold the true value: {', '.join(cells)}"


def composite_line(summary: Composite) -> str:
    """State in one line how many nodes are beyond three standard errors."""
    cells = [
        f"{method} {_share(row['beyond']['3'])}{_cross(row)}" for method, row in summary["methods"].items()
    ]
    return (
        f"Composite, nodes of {summary['graphs']:,} graphs beyond 3 standard errors of brute force: "
        f"{', '.join(cells)}; chance alone {_share(summary['chance']['3'])}"
    )
