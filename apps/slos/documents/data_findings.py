"""What readings found out about a service's data, as a recommendation takes it into account and tells it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from apps.telemetry.findings import Effect
from apps.telemetry.queries import StoredFinding, hours_together

MOST_SENTENCES = 12
"""Sentences; of more findings than these only the number is told."""
UNNAMED = "cannot be true"
"""Why hours were left out of which no finding says more."""

_GOES_ON = timedelta(days=2)
"""A finding whose last hour is this near to the end goes on, as far as anybody can tell."""
_WHEN = re.compile(r"(?:Since|On|From) (\d{4}-\d{2}-\d{2})(?: to \d{4}-\d{2}-\d{2})?\.\Z")
_ORDER = (Effect.LEFT_OUT, Effect.IN_DOUBT, Effect.MENDED)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in the same hours.

    Parameters:
        has_failures: there is an hour with failures.
        has_only_failures: there are requests, and in every hour that has any, all of them failed.
        implausible: hours that were left out.
    """

    has_failures: bool = False
    has_only_failures: bool = False
    implausible: int = 0


@dataclass(frozen=True, slots=True)
class DataFindings:
    """The fields of :class:`apps.engine.types.Quality` that stand on findings."""

    warnings: tuple[str, ...] = ()
    doubts: tuple[tuple[str, float], ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()


def tell(found: Sequence[StoredFinding], counted: Counted, end: datetime) -> DataFindings:
    """Tell what is known of the hours before ``end``, what matters most first."""
    standing = sorted((one for one in found if _stands(one, counted)), key=_severity)
    warnings = [_sentence(one, end) for one in standing[:MOST_SENTENCES]]
    more = len(standing) - MOST_SENTENCES
    if more > 0:
        warnings.append(
            f"And {more} more {'finding' if more == 1 else 'findings'}, which the telemetry page of the service lists."
        )
    doubts = {
        one.kind: kind.confidence for one in standing if (kind := one.described) and kind.confidence < 1.0
    }
    taken_out = [
        (kind.title, one)
        for one in standing
        if (kind := one.described) and kind.effect == Effect.LEFT_OUT and kind.concerns == "requests"
    ]
    by_title: dict[str, list[StoredFinding]] = {}
    for title, one in taken_out:
        by_title.setdefault(title, []).append(one)
    left_out = {title: hours_together(some) for title, some in by_title.items()}
    unnamed = counted.implausible - hours_together([one for _, one in taken_out])
    if unnamed > 0:
        left_out[UNNAMED] = unnamed
    return DataFindings(tuple(warnings), tuple(sorted(doubts.items())), tuple(left_out.items()))


def hours_left_out(found: Sequence[StoredFinding]) -> int:
    """How many hours with requests were left out for what was found; an hour that several findings name counts once."""
    return hours_together(
        [
            one
            for one in found
            if (kind := one.described) and kind.effect == Effect.LEFT_OUT and kind.concerns == "requests"
        ]
    )


def first_day_named(sentence: str) -> date | None:
    """The first day that a sentence of :func:`tell` speaks of; ``None`` where it is not one about a finding."""
    found = _WHEN.search(sentence)
    return date.fromisoformat(found[1]) if found else None


def _stands(finding: StoredFinding, counted: Counted) -> bool:
    """Whether the other hours of the window do not say the opposite."""
    if finding.kind == "failures_unseen":
        return not counted.has_failures
    if finding.kind == "every_request_failed":
        return counted.has_only_failures
    return True


def _severity(finding: StoredFinding) -> tuple[float, int, int, str, str]:
    kind = finding.described
    if kind is None:
        return (1.0, len(_ORDER), -finding.hours, finding.kind, finding.subject)
    return (kind.confidence, _ORDER.index(kind.effect), -finding.hours, finding.kind, finding.subject)


def _sentence(finding: StoredFinding, end: datetime) -> str:
    first, last = (at.astimezone(UTC).date() for at in (finding.first, finding.last))
    when = f"From {first} to {last}."
    if first == last:
        when = f"On {first}."
    elif end - finding.last <= _GOES_ON:
        when = f"Since {first}."
    words = finding.words
    return f"{words}{'' if words.endswith(('.', '!', '?')) else '.'} {when}"
