"""The kinds of findings about a service's data, each with its sentence and its effect on confidence.

A reading notes findings (:class:`apps.telemetry.clients.base.Finding`). They are stored by the day, and a
recommendation shows the sentences of those in its window. A sentence names what was seen, why it matters, and what
to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """How a finding affects the numbers."""

    LEFT_OUT = "left out"
    """Its hours are in no number."""
    IN_DOUBT = "in doubt"
    """Its hours count, and the number may be wrong."""
    MENDED = "mended"
    """Its hours count after a correction that the sentence names."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Parameters:
        title: a few words, for tables.
        sentence: filled with the finding's details by :meth:`str.format_map`; ``{hours}`` is "3 hours".
        effect: how it affects the numbers.
        confidence: factor for the confidence of a recommendation whose window has such a finding, 0..1.
        concerns: ``requests`` or ``latency``.
    """

    title: str
    sentence: str
    effect: Effect
    confidence: float = 1.0
    concerns: str = "requests"


KINDS: Mapping[str, Kind] = {
    "failures_unseen": Kind(
        "failures never counted",
        "No failure was ever counted: {query} matches no series of this service. The 0 failures are true "
        "only if {condition}.",
        Effect.IN_DOUBT,
        0.5,
    ),
    "failures_partly_unseen": Kind(
        "requests without a failure label",
        "{share} of the requests are in series without {labels}, which show no failures, so all count as good. "
        "Give them the label, or leave them out of the metric family.",
        Effect.IN_DOUBT,
        0.8,
    ),
    "failures_recognised": Kind(
        "failures read from another label",
        "Failures are read from the label {label} ({values}), because {query} matches no series of this service.",
        Effect.MENDED,
    ),
    "every_request_failed": Kind(
        "every request failed",
        "Every request counted as failed in {hours}. If that is wrong, {query} selects every request: "
        "narrow it to failures.",
        Effect.IN_DOUBT,
        0.5,
    ),
    "several_writers": Kind(
        "several writers in one series",
        "The counter falls again and again ({resets} times in {samples} samples of an hour) and returns to "
        "where it was: several processes write the same series without a label of their own. "
        "{hours} left out; give each writer a label, such as instance.",
        Effect.LEFT_OUT,
    ),
    "no_counter": Kind(
        "a counter that counts nothing",
        "The counter falls in up to {share} of its samples, hour after hour: it holds differences and not "
        "a running count (delta temporality), or its process restarts all the time. {hours} left out.",
        Effect.LEFT_OUT,
    ),
    "dip": Kind(
        "a counter fell and went on",
        "The counter fell by {fall} once and went on from there, as it does where deduplication switches "
        "between replicas. This is not a restart, but an increase counts it as one and adds the whole counter again: "
        "{hours} left out.",
        Effect.LEFT_OUT,
    ),
    "jump": Kind(
        "an hour out of all proportion",
        "{hours} with up to {times} times the usual traffic ({total} requests) left out: neither the hours "
        "around nor the same hour of other days have so many.",
        Effect.LEFT_OUT,
    ),
    "impossible": Kind(
        "counts that cannot be true",
        "{hours} with {what} left out.",
        Effect.LEFT_OUT,
    ),
    "not_a_number": Kind(
        "series that count NaN",
        "Up to {bad} of {of} series count NaN or a negative number in {hours}; the counts of the others are "
        "kept as a partial answer.",
        Effect.IN_DOUBT,
        0.9,
    ),
    "births_counted": Kind(
        "series born above zero",
        "In {hours}, up to {series} new series began above zero, with {requests} requests and {failures} "
        "failures that an "
        "increase does not see; they were added.",
        Effect.MENDED,
    ),
    "births_unknown": Kind(
        "series born far above zero",
        "Series began above zero with {requests} requests in all, more than can have happened since the "
        "sample before; these were not added. Let counters begin at 0, or export created timestamps.",
        Effect.IN_DOUBT,
        0.9,
    ),
    "replicas_merged": Kind(
        "each counter exists several times",
        "{label} has {values}, which count the same requests. Each request is counted once.",
        Effect.MENDED,
    ),
    "environments": Kind(
        "one name for several environments",
        "This name stands for {count} services with different values of {label}: {shares}. The numbers mix them. "
        'Narrow the metric family to one: where = ["{matcher}"].',
        Effect.IN_DOUBT,
        0.6,
    ),
    "families_disagree": Kind(
        "two metric families disagree",
        "{family} counts {share} of what {taken} counts in {hours} ({family} {fewer}, {taken} {more} "
        "requests); {taken} was taken. Sampled traces count like that.",
        Effect.MENDED,
    ),
    "ratio_alone": Kind(
        "only a ratio is kept",
        "{metric} keeps a ratio of failures and no count of requests: every sample weighs the same, "
        "however many requests it covers.",
        Effect.IN_DOUBT,
        0.7,
    ),
    "partial": Kind(
        "incomplete answers",
        "{hours} came from incomplete answers; Ballast reads them again until they are complete or a week old: "
        "{words}.",
        Effect.IN_DOUBT,
    ),
    "contested": Kind(
        "hours that shrank",
        "{hours} had fewer {what} when read again (at least {share} less); the first reading stays "
        "until another one agrees with the new counts.",
        Effect.IN_DOUBT,
    ),
    "histograms_impossible": Kind(
        "histograms that cannot be true",
        "Latency histograms of {hours} left out: {what}.",
        Effect.LEFT_OUT,
        concerns="latency",
    ),
    "bounds_shared": Kind(
        "bucket bounds differ",
        "Not all series have the same bucket bounds: all have {kept}, and only some have {dropped}. "
        "Percentiles between the bounds that all have are coarser; give every series the same buckets.",
        Effect.MENDED,
        concerns="latency",
    ),
    "unit_doubtful": Kind(
        "latencies in another unit",
        "The bounds of the latency histograms of {hours} reach from {low} to {high}, where few requests end. If they "
        'are in {other}, set unit = "{other}" for the buckets in the metric family; if they were made '
        "for {other}, give the histogram suitable buckets.",
        Effect.IN_DOUBT,
        0.8,
        concerns="latency",
    ),
    "percentiles_impossible": Kind(
        "percentiles that cannot be true",
        "{hours} with percentiles left out that are below a smaller percentile of the same time.",
        Effect.LEFT_OUT,
        concerns="latency",
    ),
}


def words(kind: str, detail: Mapping[str, object], hours: int) -> str:
    """Return the sentence of a finding; ``hours`` is how many hours it concerns.

    Raises:
        KeyError: the kind is not known, or a detail that its sentence names is missing.
    """
    return KINDS[kind].sentence.format_map(
        {**detail, "hours": f"{hours:,} {'hour' if hours == 1 else 'hours'}"}
    )
