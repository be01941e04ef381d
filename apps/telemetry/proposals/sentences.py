"""Sentences about a proposal, for the command, the page, and the comments in a file."""

from __future__ import annotations

from apps.telemetry.proposals.documents import Proposal

_WINDOWS = {86_400: "day", 3_600: "hour", 300: "five minutes"}
_KINDS = {
    "counters": "",
    "rates": ", rates of a recording rule",
    "ratios": ", shares of failures of a recording rule",
    "probes": ", probes",
}


def summary(proposal: Proposal) -> str:
    """Return a proposal in one line: metric, label, number of services, failures and latency."""
    family, evidence = proposal.family, proposal.evidence
    services = f"{evidence.services:,} service{'' if evidence.services == 1 else 's'}"
    parts = [f"{family.counted.metric} by {family.service_label}{_KINDS[family.kind]}: {services}"]
    if evidence.failures_by:
        parts.append(f"failures by {', '.join(evidence.failures_by)}{_values(proposal)}")
    if evidence.failure_share is not None:
        window = _WINDOWS.get(evidence.window_seconds, f"{evidence.window_seconds} s")
        parts.append(f"{share(evidence.failure_share)} failed in the last {window}")
    elif family.kind == "counters" and not family.bad:
        parts.append("failures unknown")
    if evidence.buckets:
        unit = {"s": "seconds", "ms": "milliseconds"}.get(evidence.unit, "an unknown unit")
        parts.append(f"latency in {unit}, {evidence.buckets} buckets")
    elif family.buckets and family.buckets[0].native:
        parts.append("latency from native histograms")
    else:
        parts.append("no latency")
    return ", ".join(parts)


def share(value: float) -> str:
    """Return a share as a percentage for people, such as 0.3 %, or "less than 0.01 %"."""
    if value == 0:
        return "0 %"
    if value < 0.0001:
        return "less than 0.01 %"
    percent = f"{100 * value:.2f}" if value < 0.1 else f"{100 * value:.0f}"
    return f"{percent.rstrip('0').rstrip('.') if '.' in percent else percent} %"


def twice(proposal: Proposal) -> list[str]:
    """Return a sentence, with advice, for each label under whose values services exist several times."""
    found = []
    for one in proposal.evidence.twice:
        values = ", ".join(one.values)
        services = f"{one.services:,} service{' is' if one.services == 1 else 's are'}"
        if one.is_replica:
            found.append(
                f"{services} reported by several values of {one.label} ({values}). If these count the same requests, "
                f'each counts several times: where = ["{one.where}"] reads one.'
            )
        else:
            found.append(
                f"{services} in several values of {one.label} ({values}) and would be added up. "
                f'where = ["{one.where}"] reads one.'
            )
    return found


def remarks(proposal: Proposal) -> list[str]:
    """Return all remarks on a proposal: doubts, services that exist several times, overlaps."""
    return [*proposal.doubts, *twice(proposal), *proposal.overlaps]


def _values(proposal: Proposal) -> str:
    values = proposal.evidence.failure_values
    return f" ({', '.join(values)})" if values else ""
