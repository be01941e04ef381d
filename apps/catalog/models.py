"""The catalog: services, the edges between them, the sources of each edge, and cycles."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.core.json_types import Json
from apps.core.models import Run

MAX_SERVICE_ID_LENGTH = 255


class Service(models.Model):
    """Something that answers requests. ``service_id`` is its public name."""

    class Criticality(models.TextChoices):
        CRITICAL = "critical"
        HIGH = "high"
        MEDIUM = "medium"
        LOW = "low"

    service_id = models.CharField(max_length=MAX_SERVICE_ID_LENGTH, unique=True)
    team = models.ForeignKey(
        "accounts.Team", null=True, blank=True, on_delete=models.SET_NULL, related_name="services"
    )
    criticality = models.TextField(choices=Criticality.choices, default=Criticality.MEDIUM)
    is_external = models.BooleanField(default=False)
    is_discovered = models.BooleanField(default=False)
    """Whether nobody has declared the service yet, so that only observations know it."""
    published_sla = models.DecimalField(max_digits=9, decimal_places=8, null=True, blank=True)
    archetype = models.TextField(blank=True, default="")
    on_call = models.TextField(blank=True, default="")
    failure_semantics = models.JSONField(default=dict, blank=True)
    """What callers see when the service fails, and whether a retry is safe: ``callers_see``, ``is_retry_safe``."""
    capacity = models.JSONField(default=dict, blank=True)
    """The load that the service was built for: ``max_requests_per_second``, ``max_concurrency``, ``notes``."""
    metadata = models.JSONField(default=dict, blank=True)
    origin = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(service_id=""), name="service_id_not_empty"),
            models.CheckConstraint(
                condition=Q(criticality__in=["critical", "high", "medium", "low"]),
                name="service_criticality_known",
            ),
            models.CheckConstraint(
                condition=Q(published_sla__isnull=True) | Q(published_sla__gt=0, published_sla__lt=1),
                name="service_sla_is_a_ratio",
            ),
        ]
        indexes = [models.Index("team", "service_id", name="service_team")]

    def __str__(self) -> str:
        return self.service_id


class DiscoverySource(models.TextChoices):
    """The possible sources of knowledge about an edge."""

    MANUAL = "manual"
    FILE = "file"
    OTEL = "otel_service_graph"
    KUBERNETES = "kubernetes"
    MESH = "service_mesh"
    BACKSTAGE = "backstage"


class Dependency(models.Model):
    """One edge, merged over all sources that know it: ``source`` calls ``target``."""

    class Mode(models.TextChoices):
        SYNC = "sync"
        ASYNC = "async"

    class Criticality(models.TextChoices):
        HARD = "hard"
        SOFT = "soft"
        DEGRADED = "degraded"

    source = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="outgoing")
    target = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="incoming")
    mode = models.TextField(choices=Mode.choices, default=Mode.SYNC)
    criticality = models.TextField(choices=Criticality.choices, default=Criticality.HARD)
    protocol = models.TextField(blank=True, default="")
    timeout_ms = models.PositiveIntegerField(null=True, blank=True)
    retry_config = models.JSONField(default=dict, blank=True)
    calls_per_request = models.FloatField(null=True, blank=True)
    redundancy_group = models.TextField(blank=True, default="")
    redundancy_needed = models.PositiveSmallIntegerField(null=True, blank=True)
    """How many targets of the group must be up; ``None`` means one."""
    confidence = models.FloatField(default=0)
    is_stale = models.BooleanField(default=False)
    is_declared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    last_observed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "dependencies"
        constraints = [
            models.UniqueConstraint(fields=["source", "target"], name="dependency_once"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="dependency_not_on_itself"),
            models.CheckConstraint(
                condition=Q(confidence__gte=0, confidence__lte=1), name="dependency_confidence"
            ),
            models.CheckConstraint(
                condition=Q(calls_per_request__isnull=True) | Q(calls_per_request__gte=0),
                name="dependency_calls_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(redundancy_needed__isnull=True) | Q(redundancy_needed__gte=1),
                name="dependency_needs_one_or_more",
            ),
        ]
        indexes = [
            # For traversals: live edges in both directions, answered from the index alone.
            models.Index(
                fields=["source"], include=["target"], condition=Q(is_stale=False), name="dependency_down"
            ),
            models.Index(
                fields=["target"], include=["source"], condition=Q(is_stale=False), name="dependency_up"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.target_id}"


class DependencySighting(models.Model):
    """The statement of one source about an edge, and when it last made it."""

    dependency = models.ForeignKey(Dependency, on_delete=models.CASCADE, related_name="sightings")
    discovery_source = models.TextField(choices=DiscoverySource.choices)
    attributes = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dependency", "discovery_source"], name="dependency_sighting_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dependency_id} by {self.discovery_source}"


class Ingestion(Run):
    """The part of a run that only a bulk change of the graph has: received in parts, validated as a whole, applied at
    once by a worker.

    The run is in preparation until all parts have come. Its summary counts services and edges (created, updated,
    unchanged, discovered) and cycles, and has ``warnings``: sentences about ids that are or look the same. Its errors
    are ``{"part", "list", "row", "field", "path", "message"}``; at most 300 are kept, all are counted. Its progress
    counts rows.
    """

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, parent_link=True, primary_key=True, related_name="+"
    )
    discovery_source = models.TextField(choices=DiscoverySource.choices)
    parts_expected = models.PositiveIntegerField(default=1)
    parts_received = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.discovery_source} {self.pk}"

    @property
    def counts(self) -> dict[str, Json]:
        """The summary without its warnings."""
        return {name: value for name, value in self.summary.items() if name not in ("warnings", "failure")}

    @property
    def rows_total(self) -> int:
        """The number of rows that have been sent."""
        return self.progress_total

    @property
    def rows_done(self) -> int:
        """The number of rows that are checked and applied; 0 for an ingestion that ended without success."""
        is_applied = self.state in (self.State.RUNNING, self.State.COMPLETED)
        return self.progress_done if is_applied else 0


class IngestionPart(models.Model):
    """One part of an ingestion. Its payload is emptied once the ingestion is over; its digest recognises a repeat."""

    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    payload = models.JSONField()
    digest = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["ingestion", "number"], name="ingestion_part_once")]

    def __str__(self) -> str:
        return f"{self.ingestion_id} part {self.number}"


class CycleAlert(models.Model):
    """Services that depend on each other in a circle; one alert for each set of members, however often it occurs."""

    class State(models.TextChoices):
        OPEN = "open"
        ACKNOWLEDGED = "acknowledged"
        RESOLVED = "resolved"

    fingerprint = models.TextField(unique=True)
    members = models.JSONField()
    """The sorted ids of the services in the cycle."""
    path = models.JSONField()
    """A shortest walk around the cycle, as service ids; the first is not repeated at the end."""
    state = models.TextField(choices=State.choices, default=State.OPEN)
    detected_at = models.DateTimeField(db_default=Now())
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        indexes = [models.Index("state", F("detected_at").desc(), name="cycle_alert_state")]

    def __str__(self) -> str:
        return " → ".join(self.path)
