"""The results of a survey: proposals with their evidence, as they are stored with the run and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.clients.prometheus.promql import all_but

#: How many names of services a proposal lists.
NAMES_SHOWN = 8


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Twice(_Document):
    """Services that exist under several values of a label, such as two environments."""

    label: str
    values: list[str]
    services: int
    names: list[str]
    is_replica: bool = False
    """Whether the label names replicas that count the same requests, rather than different places."""

    @property
    def where(self) -> str:
        """The matcher that keeps one value, production if there is one, and series without the label."""
        preferred = (one for one in self.values if one.lower().startswith("prod"))
        return self.only(next(preferred, self.values[0]))

    def only(self, value: str) -> str:
        """Return the matcher that keeps one value by excluding the others. So it also keeps series without the label,
        and series with a value that none of these services has.
        """
        return all_but(self.label, [one for one in self.values if one != value])


class Evidence(_Document):
    """What was found about a proposal."""

    series: int | None = None
    services: int = 0
    names: list[str] = []
    """Names of services, the busiest first."""
    window_seconds: int = 0
    """The window in which requests and failures were counted; 0 where they were not counted."""
    requests: float | None = None
    failure_share: float | None = None
    failures_by: list[str] = []
    """The labels that distinguish failures, or the metric that counts them."""
    knows_failures: bool = False
    """Whether labels of the metric itself distinguish failures; otherwise failures are a guess or unknown."""
    failure_values: list[str] = []
    buckets: int = 0
    unit: str = ""
    twice: list[Twice] = []


class Proposal(_Document):
    """A family that would read some metric, with its evidence and doubts."""

    name: str
    family: MetricFamily
    preset: bool = False
    """Whether the configuration has the family already, so that it is read without being stored."""
    score: float = 0
    is_recommended: bool = False
    evidence: Evidence = Field(default_factory=Evidence)
    doubts: list[str] = []
    overlaps: list[str] = []


class Survey(_Document):
    """The result of one look at a server."""

    proposals: list[Proposal] = []
    left_out: dict[str, int] = {}
    """Numbers of metrics that were not proposed, by reason."""
    not_looked_at: dict[str, str] = {}
    """What could not be looked at, with the reason."""
    metrics: int = 0
    questions: int = 0
    seconds: float = 0
