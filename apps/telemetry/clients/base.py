"""What every telemetry source can do, and the shapes of its answers.

Instants are Unix seconds (UTC) and name the *start* of a bin; a bin covers ``[at, at + step_seconds)``.
Latencies are in milliseconds. A value that a source does not know is absent, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

type Edge = tuple[str, str]


@dataclass(slots=True)
class CountBins:
    """Requests and failed requests of one service or edge, as parallel lists in order of time.

    ``partial[i]`` is true where the source said that its answer may lack data. ``implausible`` holds the
    starts of bins that were dropped because their counts cannot be true; the parallel lists do not include them.
    """

    step_seconds: int
    at: list[int] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    partial: list[bool] = field(default_factory=list)
    implausible: list[int] = field(default_factory=list)

    def extend(self, other: CountBins) -> None:
        """Append the bins of a later chunk."""
        self.at += other.at
        self.total += other.total
        self.bad += other.bad
        self.partial += other.partial
        self.implausible += other.implausible


@dataclass(slots=True)
class BucketBins:
    """Latency histograms of one service.

    ``cumulative[i][j]`` requests of bin ``i`` took at most ``bounds_ms[i][j]``.

    Each bin's bounds ascend and end with ``inf``. They may differ between bins, for instance after a deployment.
    """

    step_seconds: int
    at: list[int] = field(default_factory=list)
    bounds_ms: list[tuple[float, ...]] = field(default_factory=list)
    cumulative: list[list[float]] = field(default_factory=list)


@dataclass(slots=True)
class PercentileBins:
    """Percentiles that the source computed itself, one value a bin; ``None`` where there is none.

    Percentiles cannot be added or averaged, so they keep the step of the source.
    """

    step_seconds: int
    at: list[int] = field(default_factory=list)
    p50_ms: list[float | None] = field(default_factory=list)
    p95_ms: list[float | None] = field(default_factory=list)
    p99_ms: list[float | None] = field(default_factory=list)


@dataclass(slots=True)
class Finding:
    """Something about a service's data that makes them less credible, or that corrected them.

    Parameters:
        kind: a name of :data:`apps.telemetry.findings.KINDS`, which has the sentence and the effect.
        hours: starts of the bins that it concerns.
        detail: values for the sentence, JSON-ready. When two findings have one kind and subject, the later detail
            replaces the earlier one.
        subject: distinguishes several findings of one kind, such as the name of a family or a label.
    """

    kind: str
    hours: set[int]
    detail: dict[str, str | int | float] = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time ``[start, end)`` in which a service was read from one family; ``bins`` is how many bins have data."""

    family: str
    start: int
    end: int
    bins: int


@dataclass(slots=True)
class ReadingQuality:
    """What is known of an answer besides its values.

    Parameters:
        warnings: warnings of the source; an answer with warnings may lack data.
        notes: remarks of the source that don't put the data in doubt.
        implausible_bins: how many bins were dropped per service (or ``source → target``): those with more failures
            than requests, with negative, NaN or infinite counts, and those that findings leave out.
        findings: findings about each service's data, by service id.
        personal_labels: label names whose values looked like personal data, with how many were dropped.
        age_seconds: age of the oldest part of the answer; 0 when all of it came from the source just now.
    """

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    implausible_bins: Counter[str] = field(default_factory=Counter)
    personal_labels: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    age_seconds: float = 0.0

    def find(self, service_id: str, finding: Finding) -> None:
        """Note a finding; merge it with a known finding of the same kind and subject."""
        for known in self.findings.setdefault(service_id, []):
            if (known.kind, known.subject) == (finding.kind, finding.subject):
                known.hours |= finding.hours
                known.detail = {**known.detail, **finding.detail}
                return
        self.findings[service_id].append(finding)

    @property
    def is_partial(self) -> bool:
        return bool(self.warnings)

    def merge(self, other: ReadingQuality) -> None:
        """Add the quality of another part of the same answer."""
        self.warnings += [warning for warning in other.warnings if warning not in self.warnings]
        self.notes += [note for note in other.notes if note not in self.notes]
        self.implausible_bins += other.implausible_bins
        self.personal_labels += other.personal_labels
        for service_id, findings in other.findings.items():
            for finding in findings:
                self.find(service_id, finding)
        self.age_seconds = max(self.age_seconds, other.age_seconds)


@dataclass(slots=True)
class AvailabilityReading:
    """Counts per service id. A service without data is not in ``series``.

    ``stretches`` list the family that each service was read from, in order of time.
    """

    series: dict[str, CountBins] = field(default_factory=dict)
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    quality: ReadingQuality = field(default_factory=ReadingQuality)

    def left_out(self) -> dict[str, set[int]]:
        """Starts of the bins that were left out, by service id."""
        return {service_id: set(bins.implausible) for service_id, bins in self.series.items()}


@dataclass(slots=True)
class LatencyReading:
    """Histograms where the source has them, else percentiles, per service id.

    ``partial`` holds, by service, the starts of bins for which the source said that its answer may lack data.
    """

    buckets: dict[str, BucketBins] = field(default_factory=dict)
    percentiles: dict[str, PercentileBins] = field(default_factory=dict)
    partial: dict[str, set[int]] = field(default_factory=dict)
    quality: ReadingQuality = field(default_factory=ReadingQuality)


@dataclass(slots=True)
class EdgeReading:
    """Calls and failed calls per (source, target)."""

    series: dict[Edge, CountBins] = field(default_factory=dict)
    quality: ReadingQuality = field(default_factory=ReadingQuality)


@dataclass(frozen=True, slots=True)
class SeenCalls:
    """Calls over one edge within a window; ``last_seen`` is the end of the newest bin that had any."""

    calls: float
    last_seen: int
    is_async: bool = False
    """Whether all calls went through a messaging system."""


@dataclass(slots=True)
class Discovery:
    """Which services a source knows, and who called whom in ``[start, end)``.

    Both ends of each edge are in ``services``. Where there are more than Ballast is built for, the busiest are kept;
    ``services_left_out`` and ``edges_left_out`` count the others. ``called_from_outside`` counts services with callers
    that are not instrumented.
    """

    start: int
    end: int
    services: list[str] = field(default_factory=list)
    calls: dict[Edge, SeenCalls] = field(default_factory=dict)
    services_left_out: int = 0
    edges_left_out: int = 0
    called_from_outside: int = 0
    quality: ReadingQuality = field(default_factory=ReadingQuality)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Whether a source answers, and how it describes itself."""

    name: str
    is_up: bool
    detail: str
    breaker: str
    version: str = ""
    server: str = ""
    """The kind of server, such as "Thanos"."""
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """One query as it was sent, and the answer to it."""

    purpose: str
    family: str
    query: str
    error: str = ""
    series: int = 0
    points: int = 0
    sample: tuple[tuple[dict[str, str], str], ...] = ()
    """A few series of the answer: their labels without personal data, and the last value."""


@dataclass(slots=True)
class Explanation:
    """How one service is read: the queries, the answers, and what would be stored from them."""

    service_id: str
    start: int
    end: int
    queries: list[ResolvedQuery]
    availability: AvailabilityReading
    latency: LatencyReading
    edges: EdgeReading
    quality: ReadingQuality


class TelemetrySource(Protocol):
    """A place that SLIs are read from. Methods raise :class:`apps.telemetry.clients.errors.SourceError`.

    ``start`` and ``end`` bound the wanted bins: the first bin begins at ``start``, the last one ends at ``end``.
    """

    @property
    def name(self) -> str:
        """The name that people use for the source."""

    def check(self) -> SourceStatus:
        """Ask whether the source answers. This does not raise."""

    def availability(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        usual: Mapping[str, Mapping[int, float]] | None = None,
    ) -> AvailabilityReading:
        """Return requests and failed requests per service and bin.

        ``usual`` gives known requests of other hours, by service and by the hour's start.
        """

    def latency(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        leave_out: Mapping[str, Collection[int]] | None = None,
    ) -> LatencyReading:
        """Return histograms per service and bin, or percentiles with the step that the source has.

        ``leave_out`` gives, by service, the starts of bins whose counts are implausible.
        """

    def edges(self, service_ids: Sequence[str], start: int, end: int, step_seconds: int) -> EdgeReading:
        """Return calls and failed calls between services, for edges whose source is in ``service_ids``."""

    def discover(
        self,
        start: int,
        end: int,
        *,
        max_seconds: float | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Discovery:
        """Return services and the calls between them, whether or not the catalog knows them.

        With ``max_seconds``, look back only as far as that time allows. ``progress`` gets the days done and in total.
        """

    def explain(self, service_id: str, start: int, end: int, step_seconds: int) -> Explanation:
        """Show how one service is read."""
