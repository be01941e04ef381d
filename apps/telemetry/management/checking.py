"""What ``manage.py telemetry check`` prints: the questions, what came back, and what would be stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from apps.telemetry.clients.base import Explanation, Finding
from apps.telemetry.findings import KINDS, words

_SERIES_SHOWN = 5


def query_lines(found: Explanation) -> Iterator[str]:
    """Each query with what it brought."""
    for query in found.queries:
        yield f"\n{query.family}: {query.purpose}\n  {query.query}"
        if query.error:
            yield f"  {query.error}"
            continue
        yield f"  {query.series} series, {query.points} values"
        for labels, value in query.sample[:_SERIES_SHOWN]:
            inside = ", ".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
            yield f"  {{{inside}}} {value}"


def reading_lines(found: Explanation) -> Iterator[str]:
    """What would be stored of the service, and what not."""
    yield f"\nWhat would be read of {found.service_id}"
    yield from _count_lines(found)
    yield from _latency_lines(found)
    for (_, target), edge in sorted(found.edges.series.items()):
        yield f"  calls {target}: {sum(edge.total):,.0f}, {sum(edge.bad):,.0f} failed"
    quality = found.quality
    if quality.age_seconds:
        yield f"  the source is down; this is its last answer, {quality.age_seconds:,.0f} s old"
    for finding in quality.findings.get(found.service_id, []):
        yield f"  {_finding_line(finding)}"
    for label, count in quality.personal_labels.items():
        yield f"  label {label}: {count} values look like personal data and were dropped"
    for text in [*quality.warnings, *quality.notes]:
        yield f"  the source says: {text}"


def _count_lines(found: Explanation) -> Iterator[str]:
    bins = found.availability.series.get(found.service_id)
    if bins is None:
        yield "  nothing: no metric family has data under this name in this window"
        return
    total, bad = sum(bins.total), sum(bins.bad)
    share = f"{1 - bad / total:.4%} good" if total else "no requests"
    yield f"  {len(bins.at)} hours, {total:,.0f} requests, {bad:,.0f} failed: {share}"
    for stretch in found.availability.stretches.get(found.service_id, []):
        yield f"  from {_stamp(stretch.start)} to {_stamp(stretch.end)}: {stretch.family}, {stretch.bins} hours"
    if bins.implausible:
        yield f"  {len(bins.implausible)} hours would be left out, as is said below"
    if any(bins.partial):
        yield f"  {sum(bins.partial)} hours would be kept as partial"


def _latency_lines(found: Explanation) -> Iterator[str]:
    histogram = found.latency.buckets.get(found.service_id)
    percentiles = found.latency.percentiles.get(found.service_id)
    if histogram is not None:
        yield f"  {len(histogram.at)} latency histograms"
    elif percentiles is not None:
        yield f"  {len(percentiles.at)} bins of percentiles, {percentiles.step_seconds} s each"
    else:
        yield "  no latencies"


def _finding_line(finding: Finding) -> str:
    since = f" (since {_stamp(min(finding.hours))})" if finding.hours else ""
    title = KINDS[finding.kind].title
    return f"{title}{since}: {words(finding.kind, finding.detail, len(finding.hours))}"


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
