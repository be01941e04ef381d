"""What a survey hands over: proposals with their evidence, as they are stored with the run and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.clients.prometheus.promql import all_but

#: How many names of services a proposal tells.
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
    """Whether the label tells replicas that see the same, rather than places that differ."""

    @property
    def where(self) -> str:
        """The matcher that leaves one of them, production if there is one, and every service without the label."""
        preferred = (one for one in self.values if one.lower().startswith("prod"))
        return self.only(next(preferred, self.values[0]))

    def only(self, value: str) -> str:
        """The matcher that leaves one of them: without the others, so that services without the label stay, and those
        that have a value which none of these services has.
        """
        return all_but(self.label, [one for one in self.values if one != value])


class Evidence(_Document):
    """What speaks for a proposal, as it was found."""

    series: int | None = None
    services: int = 0
    names: list[str] = []
    """The busiest first."""
    window_seconds: int = 0
    """Over which requests and failures were counted; 0 where they were not."""
    requests: float | None = None
    failure_share: float | None = None
    failures_by: list[str] = []
    """The labels that tell failures, or the metric that counts them."""
    knows_failures: bool = False
    """Whether labels of the metric itself tell failures; otherwise it is a guess, or nothing does."""
    failure_values: list[str] = []
    buckets: int = 0
    unit: str = ""
    twice: list[Twice] = []


class Proposal(_Document):
    """A family that would read something, why, and what is not sure."""

    name: str
    family: MetricFamily
    preset: bool = False
    """A family of the configuration already, and read without being stored."""
    score: float = 0
    is_recommended: bool = False
    evidence: Evidence = Field(default_factory=Evidence)
    doubts: list[str] = []
    overlaps: list[str] = []


class Survey(_Document):
    """What one look at a server brought."""

    proposals: list[Proposal] = []
    left_out: dict[str, int] = {}
    """Metrics that were not proposed, by why."""
    not_looked_at: dict[str, str] = {}
    """What should have been looked at and was not, and why."""
    metrics: int = 0
    questions: int = 0
    seconds: float = 0
