"""What every telemetry source can do, and the shapes in which it answers.

Instants are Unix seconds (UTC) and name the *start* of a bin; a bin covers ``[at, at + step_seconds)``.
Latencies are milliseconds. What a source does not know is absent, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

type Edge = tuple[str, str]


@dataclass(slots=True)
class CountBins:
    """Requests and failed requests of one service or edge; parallel lists in order of time.

    ``partial[i]`` is true where the source said that its answer may lack data. ``implausible`` holds the
    starts of bins that were dropped because what came could not be true; they are in none of the lists.
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

    Each bin's bounds ascend and end with ``inf``; they may change from one bin to another, as a deployment
    changes them.
    """

    step_seconds: int
    at: list[int] = field(default_factory=list)
    bounds_ms: list[tuple[float, ...]] = field(default_factory=list)
    cumulative: list[list[float]] = field(default_factory=list)


@dataclass(slots=True)
class PercentileBins:
    """Percentiles that the source had computed itself, one bin each; ``None`` where there is none.

    They cannot be added or averaged, so they are kept as fine as they come.
    """

    step_seconds: int
    at: list[int] = field(default_factory=list)
    p50_ms: list[float | None] = field(default_factory=list)
    p95_ms: list[float | None] = field(default_factory=list)
    p99_ms: list[float | None] = field(default_factory=list)


@dataclass(slots=True)
class Finding:
    """Something about a service's data that whoever reads a number made of them should know.

    Parameters:
        kind: a name of :data:`apps.telemetry.findings.KINDS`, which has the sentence and what it costs.
        hours: starts of the bins that it speaks of.
        detail: what the sentence names, JSON-ready. Of two findings of one kind and subject the later one's stands.
        subject: tells several findings of one kind apart, such as the name of a family or a label.
    """

    kind: str
    hours: set[int]
    detail: dict[str, str | int | float] = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a service was read from one family: ``[start, end)``, whole bins with data."""

    family: str
    start: int
    end: int
    bins: int


@dataclass(slots=True)
class ReadingQuality:
    """What is known of an answer beside its values.

    Parameters:
        warnings: what the source said; an answer with warnings may lack data.
        notes: remarks of the source that don't put the data in doubt.
        implausible_bins: bins dropped per service (or ``source → target``): more failures than requests,
            negative counts, NaN or infinite values, and what findings say was left out.
        findings: what is known of each service's data, by service id.
        personal_labels: label names whose values looked like personal data, with how many were dropped.
        age_seconds: age of the oldest part of the answer; 0 when it came from the source just now.
    """

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    implausible_bins: Counter[str] = field(default_factory=Counter)
    personal_labels: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    age_seconds: float = 0.0

    def find(self, service_id: str, finding: Finding) -> None:
        """Note a finding, together with what is known of the same kind and subject."""
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
        """Add what is known of another part of the same answer."""
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

    ``stretches`` say which family each service was read from when, in order of time.
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

    ``partial`` holds the starts of the bins asked for of which the source said that its answer may lack data.
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
    """All of them went through a messaging system."""


@dataclass(slots=True)
class Discovery:
    """Which services a source knows, and who called whom in ``[start, end)``.

    Ends of edges are among ``services``. Where there were more than Ballast is built for, the busiest are here and the
    others are counted. ``called_from_outside`` counts services with callers that are not instrumented.
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
    """Whether a source answers, and what it says of itself."""

    name: str
    is_up: bool
    detail: str
    breaker: str
    version: str = ""
    server: str = ""
    """What kind of server it is, as a person writes it."""
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """One query as it was sent, and what came back for it."""

    purpose: str
    family: str
    query: str
    error: str = ""
    series: int = 0
    points: int = 0
    sample: tuple[tuple[dict[str, str], str], ...] = ()
    """Up to a few series: their labels (without personal data) and the last value."""


@dataclass(slots=True)
class Explanation:
    """How one service is read: the queries, what came back, and what would be stored from it."""

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

    ``start`` and ``end`` bound the bins wanted: the first begins at ``start``, the last ends at ``end``.
    """

    @property
    def name(self) -> str:
        """What people call the source."""

    def check(self) -> SourceStatus:
        """Ask whether the source answers. Does not raise."""

    def availability(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        usual: Mapping[str, Mapping[int, float]] | None = None,
    ) -> AvailabilityReading:
        """Requests and failed requests per service and bin.

        ``usual`` are requests of other hours that are known, by service and by the hour's start.
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
        """Histograms per service and bin, or percentiles as fine as the source has them.

        ``leave_out`` are starts of bins whose counts are not believed, by service.
        """

    def edges(self, service_ids: Sequence[str], start: int, end: int, step_seconds: int) -> EdgeReading:
        """Calls and failed calls between services, for edges whose source is one of ``service_ids``."""

    def discover(
        self,
        start: int,
        end: int,
        *,
        max_seconds: float | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Discovery:
        """Services and calls between them, whether the catalog knows them or not.

        With ``max_seconds`` only as far back as that time allows; ``progress`` is told days done and in total.
        """

    def explain(self, service_id: str, start: int, end: int, step_seconds: int) -> Explanation:
        """Show how one service is read."""
