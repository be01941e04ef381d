"""Weighs what was found about a metric: doubts about labels, failures, services that exist twice, and a score."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.clients.prometheus.surveying import Group
from apps.telemetry.proposals import comparing, labels
from apps.telemetry.proposals.documents import NAMES_SHOWN, Evidence, Twice
from apps.telemetry.proposals.names import Candidate

#: How many values of a label are listed.
VALUES_SHOWN = 6
#: The most places between which a person can choose; more places stay together.
PLACES_KEPT = 40


def label_doubts(chosen: labels.ServiceLabel, ranked: Sequence[labels.ServiceLabel]) -> list[str]:
    """Return doubts about the label that names services: series without it, and other labels that may be meant."""
    doubts = []
    if chosen.coverage < 0.9:
        doubts.append(
            f"{1 - chosen.coverage:.0%} of its series have no label {chosen.label} and are not read."
        )
    rivals = [
        one
        for one in ranked
        if one is not chosen
        and one.coverage >= 0.9
        and len(one.services) > 1
        and one.services != chosen.services
        and not labels.is_more_telling(chosen, one)
    ]
    if rivals:
        listed = ", ".join(f"{one.label} ({len(one.services):,} names)" for one in rivals[:3])
        doubts.append(f"The service may also be named by {listed}.")
    return doubts


def failure_labels(family: MetricFamily) -> tuple[str, ...]:
    """Return the labels that a question about the total needs to distinguish the family's failures."""
    if family.kind not in {"counters", "rates"} or family.total is None:
        return ()
    own = [selector for selector in family.bad if selector.metric == family.total.metric]
    return tuple(dict.fromkeys(label for selector in own for label, _, _ in selector.parsed()))


def sums(
    groups: Sequence[Group], family: MetricFamily, failing: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return each service's count, and its failures by the labels that distinguish them."""
    total: dict[str, float] = defaultdict(float)
    failed: dict[str, float] = defaultdict(float)
    for group in groups:
        if group.value != group.value:
            continue
        service = group.labels.get(family.service_label, "")
        total[service] += group.value
        if failing and any(
            comparing.matches(selector, group.labels)
            for selector in family.bad
            if family.total is not None and selector.metric == family.total.metric
        ):
            failed[service] += group.value
    return dict(total), dict(failed)


def twice(groups: Sequence[Group], service_label: str, uses: labels.Uses) -> list[Twice]:
    """Return the labels under whose values one service exists several times, in different places or as replicas."""
    found = []
    for is_replica, wanted in ((False, uses.environments), (True, uses.replicas)):
        for label, services in labels.separated_by(groups, service_label, wanted).items():
            values = Counter(value for some in services.values() for value in some)
            found.append(
                Twice(
                    label=label,
                    values=sorted(values, key=lambda one: (-values[one], one))[:PLACES_KEPT],
                    services=len(services),
                    names=sorted(services)[:NAMES_SHOWN],
                    is_replica=is_replica,
                )
            )
    return found


def score(candidate: Candidate, evidence: Evidence, *, is_preset: bool) -> int:
    """Return a proposal's score: configured families come first, then known failures and latencies."""
    return (
        (200 if is_preset else candidate.score)
        + (4 if evidence.failures_by else 0)
        + (2 if evidence.buckets else 0)
    )
