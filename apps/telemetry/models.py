"""Stored telemetry: aggregates by the hour and by the day, in monthly partitions.

The four aggregate tables are partitioned by ``bin_start``. Django describes their rows; a migration creates the tables
(``managed = False`` keeps Django from doing so). Good is ``total - bad``: ratios are never stored, so never averaged.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.catalog.models import Service
from apps.core.json_types import JsonObject
from apps.core.models import Run


class SliBin(models.Model):
    """One service in one bin."""

    pk = models.CompositePrimaryKey("service_id", "bin_start")
    service = models.ForeignKey(Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    bin_start = models.DateTimeField()
    total = models.FloatField()
    bad = models.FloatField()
    observed_seconds = models.IntegerField()
    """For how many seconds of the bin the source had data."""
    is_partial = models.BooleanField(default=False)
    """Whether the data may be incomplete, for example because the source said so."""
    is_implausible = models.BooleanField(default=False)
    """Whether counts that cannot be true, such as more failures than requests, were left out."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.service_id} at {self.bin_start:%Y-%m-%d %H:%M}"


class SliHour(SliBin):
    """One hour. Percentiles that a source computed are kept for each finer bin in it, never averaged."""

    p50_ms = ArrayField(models.FloatField(), null=True)
    p95_ms = ArrayField(models.FloatField(), null=True)
    p99_ms = ArrayField(models.FloatField(), null=True)

    class Meta:
        managed = False
        db_table = "telemetry_slihour"


class SliDay(SliBin):
    """One UTC day, added up from its hours or imported as a day."""

    class Meta:
        managed = False
        db_table = "telemetry_sliday"


class LatencyHour(models.Model):
    """One hour's latency histogram: ``cumulative[i]`` requests took up to ``bounds_ms[i]``; the last is infinite."""

    pk = models.CompositePrimaryKey("service_id", "bin_start")
    service = models.ForeignKey(Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    bin_start = models.DateTimeField()
    bounds_ms = ArrayField(models.FloatField())
    cumulative = ArrayField(models.FloatField())
    is_partial = models.BooleanField(default=False)

    class Meta:
        managed = False
        db_table = "telemetry_latencyhour"

    def __str__(self) -> str:
        return f"{self.service_id} at {self.bin_start:%Y-%m-%d %H:%M}"


class EdgeHour(models.Model):
    """One hour of calls from ``source`` to ``target``."""

    pk = models.CompositePrimaryKey("source_id", "target_id", "bin_start")
    source = models.ForeignKey(Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    target = models.ForeignKey(Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    bin_start = models.DateTimeField()
    total = models.FloatField()
    bad = models.FloatField()
    observed_seconds = models.IntegerField()
    is_partial = models.BooleanField(default=False)

    class Meta:
        managed = False
        db_table = "telemetry_edgehour"

    def __str__(self) -> str:
        return f"{self.source_id} → {self.target_id} at {self.bin_start:%Y-%m-%d %H:%M}"


class ContestedHour(models.Model):
    """What a later reading found for an hour that was complete before, and for which it had less.

    The stored hour stays until a second reading agrees with one of the two.
    """

    class Measure(models.TextChoices):
        REQUESTS = "requests"
        CALLS = "calls"
        LATENCY = "latency"

    pk = models.CompositePrimaryKey("service_id", "bin_start", "measure", "target_id")
    service = models.ForeignKey(
        Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    bin_start = models.DateTimeField()
    measure = models.TextField(choices=Measure.choices)
    target_id = models.BigIntegerField(default=0)
    """For calls, the key of the service called; otherwise 0."""
    total = models.FloatField()
    bad = models.FloatField()
    is_implausible = models.BooleanField(default=False)
    """Whether the later reading found the hour implausible."""
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    seen_times = models.IntegerField(default=1)
    run = models.UUIDField()
    """The run of the first reading that had less."""

    class Meta:
        db_table = "telemetry_contestedhour"
        indexes = [models.Index(fields=["bin_start"], name="telemetry_contested_when")]

    def __str__(self) -> str:
        return f"{self.measure} of {self.service_id} at {self.bin_start:%Y-%m-%d %H:%M}"


class DayMask(models.Model):
    """Some hours of one UTC day of one service: bit ``n`` of ``hours`` is the hour that begins at ``n``."""

    service = models.ForeignKey(
        Service, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    day = models.DateField()
    hours = models.IntegerField()

    class Meta:
        abstract = True


class FindingDay(DayMask):
    """A finding of :mod:`apps.telemetry.findings` about one day of a service's data."""

    pk = models.CompositePrimaryKey("service_id", "day", "kind", "subject")
    kind = models.TextField()
    subject = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    """Values for the sentence, from the latest reading of any of these hours."""
    first_seen_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "telemetry_finding"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hours__gte=0, hours__lt=1 << 24), name="telemetry_finding_hours"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.service_id} on {self.day}"


class StretchDay(DayMask):
    """The hours of a day in which a service was read from one metric family, or from ``files``."""

    pk = models.CompositePrimaryKey("service_id", "day", "family")
    family = models.TextField()

    class Meta:
        db_table = "telemetry_stretch"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hours__gte=0, hours__lt=1 << 24), name="telemetry_stretch_hours"
            )
        ]

    def __str__(self) -> str:
        return f"{self.service_id} from {self.family} on {self.day}"


class TelemetryRun(Run):
    """The part of a run that only telemetry has: for a backfill, an hourly collection, an import, a discovery or a
    survey.
    """

    class Kind(models.TextChoices):
        BACKFILL = "telemetry.backfill"
        COLLECTION = "telemetry.collection"
        IMPORT = "telemetry.import"
        DISCOVERY = "telemetry.discovery"
        SURVEY = "telemetry.survey"

    run = models.OneToOneField(
        Run, on_delete=models.CASCADE, parent_link=True, primary_key=True, related_name="+"
    )
    source = models.TextField()
    """``prometheus`` or ``files``."""
    window_start = models.DateTimeField(null=True)
    window_end = models.DateTimeField(null=True)

    @property
    def what(self) -> str:
        """The kind in one word, as in the API and in events: ``backfill``."""
        return self.kind.removeprefix("telemetry.")


class StoredConnection(models.Model):
    """The address of the source that a person connected. The newest row counts; an empty address means none.

    Earlier rows stay as history, without secrets.
    """

    url = models.TextField(blank=True, default="")
    org_id = models.TextField(blank=True, default="")
    user = models.TextField(blank=True, default="")
    sealed_password = models.TextField(blank=True, default="")
    sealed_token = models.TextField(blank=True, default="")
    made_by_name = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.url or "no connection"


class FamilySet(models.Model):
    """All metric families that a person stored. The newest row counts; earlier rows are history."""

    families = models.JSONField(default=list)
    """Objects with a ``name`` and a ``family`` each, in the order in which they are tried."""
    order = models.JSONField(default=list)
    """Names of the families to try, built-in ones included. If empty, these families are tried before the others."""
    made_by_name = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"families, version {self.pk}"

    @property
    def by_name(self) -> dict[str, JsonObject]:
        """Return the families by their names."""
        return {one["name"]: one["family"] for one in self.families}
