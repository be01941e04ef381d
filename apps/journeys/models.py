"""User journeys over several services, and the newest result of each."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.catalog.models import Service
from apps.core.models import UUIDv7

MAX_NAME_LENGTH = 100


class Journey(models.Model):
    """Something that a user wants to do, as weighted paths over services.

    ``paths`` is a list of ``{"name", "weight", "steps": [{"service_id", "calls"}]}`` in the order given; weights
    are relative to each other. ``members`` are the services named there, for look-ups.
    """

    id = models.UUIDField(primary_key=True, db_default=UUIDv7(), editable=False)
    slug = models.SlugField(max_length=MAX_NAME_LENGTH + 20, unique=True)
    """Its name in addresses and for programs. Made from the first name and never changed."""
    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True)
    description = models.TextField(blank=True, default="")
    team = models.ForeignKey(
        "accounts.Team", null=True, blank=True, on_delete=models.SET_NULL, related_name="journeys"
    )
    target = models.FloatField(null=True, blank=True)
    """The share of journeys that must succeed, 0..1; ``None`` without a target."""
    latency_target_ms = models.FloatField(null=True, blank=True)
    """The time within which 95 % of the journeys must end; ``None`` without a target."""
    paths = models.JSONField()
    members = models.ManyToManyField(Service, related_name="journeys", blank=True)
    origin = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="journey_has_a_name"),
            models.CheckConstraint(
                condition=Q(target__isnull=True) | Q(target__gt=0, target__lt=1),
                name="journey_target_is_a_ratio",
            ),
            models.CheckConstraint(
                condition=Q(latency_target_ms__isnull=True) | Q(latency_target_ms__gt=0),
                name="journey_latency_target_is_a_time",
            ),
        ]
        indexes = [models.Index("team", "name", name="journey_team")]

    def __str__(self) -> str:
        return self.name


class JourneyResult(models.Model):
    """A journey's newest result. It is derived data and can be computed again.

    ``requested_at`` is when something that it depends on changed. While that is later than ``computed_from``, when the
    computation began to read, a new result is due.
    """

    journey = models.OneToOneField(Journey, primary_key=True, on_delete=models.CASCADE, related_name="result")
    requested_at = models.DateTimeField()
    computed_from = models.DateTimeField(null=True)
    computed_at = models.DateTimeField(null=True)
    as_of = models.DateTimeField(null=True)
    """The time of the oldest recommendation that it depends on."""
    journey_version = models.PositiveIntegerField(null=True)
    availability = models.FloatField(null=True)
    lower = models.FloatField(null=True)
    upper = models.FloatField(null=True)
    chance_missed = models.FloatField(null=True)
    weakest = models.TextField(blank=True, default="")
    document = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"result of {self.journey_id}"

    @property
    def is_being_made(self) -> bool:
        """Whether something has changed since the computation."""
        return self.is_older_than(None)

    def is_older_than(self, asked: datetime | None) -> bool:
        """Return whether a new result was requested since the computation, in ``requested_at`` or at ``asked``."""
        latest = self.requested_at if asked is None else max(asked, self.requested_at)
        return self.computed_from is None or latest > self.computed_from
