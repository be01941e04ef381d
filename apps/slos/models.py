"""What Ballast recommends, what was decided, and how each service stands against its SLOs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.catalog.models import Service
from apps.core.models import UUIDv7


class SliType(models.TextChoices):
    """What an SLO is about; each is decided on its own."""

    AVAILABILITY = "availability"
    LATENCY_P95 = "latency_p95"
    LATENCY_P99 = "latency_p99"


class Recommendation(models.Model):
    """What the engine said of one service and one kind of SLI at one instant.

    ``document`` is the engine's part for this SLI (verdict, tiers, …) and ``shared`` what holds for all of
    them (data quality, confidence, explanation), as documented in docs/recommendation-format.md.
    """

    class Status(models.TextChoices):
        CURRENT = "current"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        SUPERSEDED = "superseded"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, db_default=UUIDv7(), editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="recommendations")
    sli_type = models.TextField(choices=SliType.choices)
    status = models.TextField(choices=Status.choices, default=Status.CURRENT)
    verdict = models.TextField()
    balanced = models.FloatField(null=True)
    """The balanced tier's number, a ratio or milliseconds; what lists sort by."""
    conservative = models.FloatField(null=True)
    aggressive = models.FloatField(null=True)
    composite = models.FloatField(null=True)
    """Availability only: the composite's point estimate. Kept beside the document so that lists need not open
    it.
    """
    confidence = models.FloatField()
    document = models.JSONField()
    shared = models.JSONField()
    as_of = models.DateTimeField()
    window_days = models.PositiveSmallIntegerField()
    seed = models.BigIntegerField(default=0)
    generated_at = models.DateTimeField(db_default=Now())
    computed_from = models.DateTimeField(null=True)
    """The database's time just before anything was read for it: what changed later may be missing. ``None`` where it
    was not recorded, which counts as older than any.
    """
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service", "sli_type"],
                condition=Q(status="current"),
                name="recommendation_one_current",
            ),
        ]
        indexes = [
            models.Index("service", "sli_type", F("generated_at").desc(), name="recommendation_newest"),
            models.Index("expires_at", condition=Q(status="current"), name="recommendation_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.sli_type} of {self.service_id} at {self.as_of:%Y-%m-%d %H:%M}"


class ActiveSlo(models.Model):
    """An SLO. A changed one ends and a new one begins, so the table is its own history; one is open at a
    time.
    """

    class Source(models.TextChoices):
        ACCEPTED = "accepted"
        MODIFIED = "modified"
        MANUAL = "manual"

    class LatencyBasis(models.TextChoices):
        REQUESTS = "requests"
        BINS = "bins"

    id = models.UUIDField(primary_key=True, db_default=UUIDv7(), editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="slos")
    sli_type = models.TextField(choices=SliType.choices)
    target = models.DecimalField(max_digits=10, decimal_places=9)
    """The target, a share of good events: of requests, or, for a latency on bins, of bins under the threshold.
    """
    threshold_ms = models.FloatField(null=True, blank=True)
    basis = models.TextField(choices=LatencyBasis.choices, default=LatencyBasis.REQUESTS)
    window_days = models.PositiveSmallIntegerField()
    source = models.TextField(choices=Source.choices)
    tier = models.TextField(blank=True, default="")
    recommendation = models.ForeignKey(Recommendation, null=True, blank=True, on_delete=models.SET_NULL)
    rationale = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    started_by_name = models.TextField()
    ended_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        verbose_name = "active SLO"
        constraints = [
            models.UniqueConstraint(
                fields=["service", "sli_type"], condition=Q(ended_at__isnull=True), name="slo_one_active"
            ),
            models.CheckConstraint(condition=Q(target__gt=0, target__lt=1), name="slo_target_is_a_ratio"),
            models.CheckConstraint(
                condition=Q(sli_type="availability", threshold_ms__isnull=True)
                | Q(sli_type__in=["latency_p95", "latency_p99"], threshold_ms__gt=0),
                name="slo_latency_has_a_threshold",
            ),
        ]
        indexes = [models.Index("service", "sli_type", F("started_at").desc(), name="slo_history")]

    def __str__(self) -> str:
        return f"{self.sli_type} of {self.service_id}"


class ServiceStatus(models.Model):
    """How a service stands now: computed ahead for lists and the overview, once an hour and after each
    decision.
    """

    class State(models.TextChoices):
        FINE = "fine"
        ATTEND = "attend"
        ACT = "act"
        NO_SLO = "no_slo"
        NO_DATA = "no_data"
        COUNTING = "counting"
        """A decision has just changed the SLO, and a worker has not counted its budget yet."""

    service = models.OneToOneField(Service, primary_key=True, on_delete=models.CASCADE, related_name="status")
    computed_at = models.DateTimeField()
    as_of = models.DateTimeField(null=True)
    """The end of the newest complete bin: what all figures below are of."""
    observed = models.FloatField(null=True)
    """Availability over the window, event-weighted."""
    total = models.FloatField(default=0)
    bad = models.FloatField(default=0)
    window_days = models.PositiveSmallIntegerField()
    target = models.FloatField(null=True)
    budget_left = models.FloatField(null=True)
    """The share of the error budget left, 0..1, negative when overspent; ``None`` without an SLO."""
    burn_1h = models.FloatField(null=True)
    burn_6h = models.FloatField(null=True)
    burn_1d = models.FloatField(null=True)
    burn_3d = models.FloatField(null=True)
    exhausted_at = models.DateTimeField(null=True)
    """When the budget is spent if the last day goes on; ``None`` when it outlasts the window."""
    state = models.TextField(choices=State.choices)
    decision_due = models.BooleanField(default=False)
    due_sli_types = ArrayField(models.TextField(choices=SliType.choices), default=list)
    """The SLIs whose recommendation waits for a decision; empty where ``decision_due`` is false."""
    reason = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "service statuses"
        indexes = [models.Index("state", "budget_left", name="service_status_state")]

    def __str__(self) -> str:
        return f"{self.service_id}: {self.state}"


class SloStanding(models.Model):
    """How one SLO in force stands, whatever its SLI. It is missing until a worker has counted the SLO's budget."""

    slo = models.OneToOneField(ActiveSlo, primary_key=True, on_delete=models.CASCADE, related_name="standing")
    computed_at = models.DateTimeField()
    as_of = models.DateTimeField(null=True)
    """The end of the newest complete bin: what all figures below are of."""
    total = models.FloatField(default=0)
    """Events in the window: requests, or bins for a latency that is counted so."""
    bad = models.FloatField(default=0)
    budget_left = models.FloatField(null=True)
    """The share of the error budget left, 0..1, negative when overspent; ``None`` without data."""
    burn_1h = models.FloatField(null=True)
    burn_6h = models.FloatField(null=True)
    burn_1d = models.FloatField(null=True)
    burn_3d = models.FloatField(null=True)
    exhausted_at = models.DateTimeField(null=True)
    """When the budget is spent if the last day goes on; ``None`` when it outlasts the window."""
    state = models.TextField(choices=ServiceStatus.State.choices)
    reason = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "SLO standing"
        indexes = [models.Index("budget_left", name="slo_standing_left")]

    def __str__(self) -> str:
        return f"{self.slo_id}: {self.state}"


class EdgeEstimate(models.Model):
    """What the newest computation of ``source`` found for one of its edges: what impact analysis walks.

    ``call_probability`` (q) is the chance that a request of the source uses the edge, ``hardness`` (h) how
    much more often the source fails when the target does. Each says whether it was ``estimated``,
    ``declared`` or a ``prior``.
    """

    source = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+")
    call_probability = models.FloatField()
    call_probability_source = models.TextField()
    hardness = models.FloatField()
    hardness_source = models.TextField()
    availability = models.FloatField(null=True)
    """The target's, as the source counts it; ``None`` where nothing is known of it."""
    availability_source = models.TextField(blank=True, default="")
    has_fallback = models.BooleanField(default=False)
    """Declared soft, seen to fail, and the source's requests did not: it no longer counts."""
    behaves_hard = models.BooleanField(default=False)
    """Declared soft or degraded, yet it surely fails most requests that meet its failure."""
    as_of = models.DateTimeField(null=True)
    """Nothing after this instant was read for it."""

    class Meta:
        indexes = [
            models.Index(fields=["source"], condition=Q(behaves_hard=True), name="edge_estimate_behaves_hard")
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "target"], name="edge_estimate_once"),
            models.CheckConstraint(
                condition=Q(call_probability__gte=0, hardness__gte=0, hardness__lte=1),
                name="edge_estimate_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.target_id}: q {self.call_probability:g}, h {self.hardness:g}"
