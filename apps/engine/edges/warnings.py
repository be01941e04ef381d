"""Warnings about a service's dependencies: cycles, unknowns, assumptions. Many of a kind share one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.edges.dependencies import ServiceComposite

APART = 3
"""Up to this many of a kind get a sentence each; of more, this many are named and the others counted."""
MOST_OF_A_PATH = 6
"""Members of a cycle that its path names."""


def composite_warnings(composite: ServiceComposite) -> list[str]:
    """Return the sentences, by kind; there are never many, however many dependencies there are."""
    cyclic: list[tuple[str, str]] = []
    hard: list[tuple[str, str]] = []
    unknown: list[tuple[str, str]] = []
    groups: list[tuple[str, str]] = []
    counted = {id(member): len(each.members) for each in composite.factors for member in each.members}
    named: set[str] = set()
    for estimate in composite.estimates:
        dependency, name = estimate.dependency, estimate.dependency.target_id
        if dependency.cycle:
            path = _path(dependency.cycle)
            cyclic.append(
                (
                    name,
                    f"{name} is in a cycle ({path}): its effect counts in full, although "
                    "part of its failures may be this service's own."
                    if composite.graph is None
                    else f"{name} is in a cycle ({path}): a failure that goes around is counted "
                    "once, where it began.",
                )
            )
        if estimate.behaves_hard:
            hard.append(
                (
                    name,
                    f"{name} is declared {dependency.criticality} but behaves hard: "
                    f"{100 * (estimate.hardness or 0.0):.0f} % of the requests that meet its failure fail.",
                )
            )
        group, members = dependency.redundancy_group, counted.get(id(estimate))
        if group and group not in named and members is not None and dependency.redundancy_needed > members:
            named.add(group)
            groups.append(
                (
                    group,
                    f"{dependency.redundancy_needed} of {group} must be up, but only {members} can be counted: "
                    "all of these must be up.",
                )
            )
        if dependency.mode == "sync" and estimate.availability is None:
            unknown.append(
                (
                    name,
                    f"{name} has neither observations nor a published SLA: it is not in the composite.",
                )
            )
    around = (
        "their effects count in full, although part of their failures may be this service's own."
        if composite.graph is None
        else "a failure that goes around is counted once, where it began."
    )
    return [
        *_sentences(cyclic, f"are in cycles: {around}"),
        *_sentences(
            hard,
            "are declared soft or degraded but behave hard: most of the requests that meet their failures fail.",
        ),
        *_sentences(groups, "need more members up than can be counted: all that can be counted must be up."),
        *_sentences(unknown, "have neither observations nor a published SLA: they are not in the composite."),
    ]


def _sentences(kind: Sequence[tuple[str, str]], together: str) -> list[str]:
    """Return a sentence for each of a few, or one sentence for many."""
    if len(kind) <= APART:
        return [sentence for _, sentence in kind]
    names = ", ".join(name for name, _ in kind[:APART])
    return [f"{names} and {len(kind) - APART:,} more {together}"]


def _path(cycle: Sequence[str]) -> str:
    more = len(cycle) - MOST_OF_A_PATH
    shown = [*cycle[:MOST_OF_A_PATH], *([f"{more:,} more"] if more > 0 else []), cycle[0]]
    return " → ".join(shown)
