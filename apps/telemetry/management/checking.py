"""Makes the output of ``manage.py telemetry check``: the questions, the answers, and what would be stored."""

from __future__ import annotations

from collections.abc import Iterator

from apps.telemetry.clients.base import Explanation
from apps.telemetry.presenting import checked, reading_words

_SERIES_SHOWN = 5


def query_lines(found: Explanation) -> Iterator[str]:
    """Yield lines for each query and its answer."""
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
    """Yield lines on what would be stored of the service, and what would not."""
    yield f"\nWhat would be read of {found.service_id}"
    for line in reading_words(found):
        yield f"  {line}"
    quality = found.quality
    if quality.age_seconds:
        yield f"  The source is down; this is its last answer, {quality.age_seconds:,.0f} s old."
    for finding in checked(found).findings:
        yield f"  {finding.title}, since {finding.first:%Y-%m-%dT%H:%MZ}: {finding.words}"
    for label, count in quality.personal_labels.items():
        yield f"  Label {label}: {count} values look like personal data and were dropped."
    for text in [*quality.warnings, *quality.notes]:
        yield f"  The source says: {text}"
