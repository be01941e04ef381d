"""The tables of the audit trail, the outbox, idempotency keys, message starts and runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now, Upper

from apps.core.database.audit_proofs import proof_of


class UUIDv7(Func):
    """PostgreSQL's ``uuidv7()``: ids that sort by the time they were made."""

    function = "uuidv7"
    arity = 0
    output_field = models.UUIDField()


class AuditEntries(models.QuerySet["AuditEntry"]):
    """Audit entries. Each gets its proof as it is inserted."""

    def bulk_create(self, objs: Iterable[AuditEntry], *args: Any, **kwargs: Any) -> list[AuditEntry]:
        entries = list(objs)
        for entry in entries:
            entry.proof = entry.proof or proof_of(entry)
        return super().bulk_create(entries, *args, **kwargs)


class AuditEntry(models.Model):
    """One change: who, what, why, when, from where, before and after. Written once; a trigger refuses edits."""

    class Source(models.TextChoices):
        WEB = "web"
        API = "api"
        COMMAND = "command"
        TASK = "task"

    id = models.UUIDField(primary_key=True, db_default=UUIDv7(), editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    action = models.TextField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.TextField()
    source = models.TextField(choices=Source.choices)
    api_key_prefix = models.TextField(blank=True, default="")
    ip = models.GenericIPAddressField(null=True)
    request_id = models.TextField(blank=True, default="")
    object_type = models.TextField()
    object_id = models.TextField()
    object_label = models.TextField(blank=True, default="")
    service_id = models.TextField(blank=True, default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    rationale = models.TextField(blank=True, default="")
    proof = models.TextField(blank=True, default="", db_default="", editable=False)
    """Shows the database that Ballast wrote the entry; see :mod:`apps.core.database.audit_proofs`."""

    objects = AuditEntries.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        constraints = [
            models.UniqueConstraint(fields=["proof"], condition=~Q(proof=""), name="audit_proof_once"),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="audit_newest"),
            models.Index("service_id", F("created_at").desc(), name="audit_service"),
            models.Index("object_type", "object_id", F("created_at").desc(), name="audit_object"),
            models.Index("actor", F("created_at").desc(), name="audit_actor"),
            # The search ignores the case of names.
            models.Index(
                Upper("actor_name"), F("created_at").desc(), F("id").desc(), name="audit_actor_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the entry with its proof."""
        self.proof = self.proof or proof_of(self)
        super().save(*args, **kwargs)


class OutboxEvent(models.Model):
    """A fact for subscribers, written in the transaction that made it true."""

    id = models.BigAutoField(primary_key=True)
    topic = models.TextField()
    aggregate = models.TextField(blank=True, default="")
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index("created_at", name="outbox_event_created")]

    def __str__(self) -> str:
        return f"{self.topic} #{self.pk}"


class OutboxDelivery(models.Model):
    """One event on its way to one subscriber. Deleted once delivered, ``dead`` after too many attempts."""

    class State(models.TextChoices):
        PENDING = "pending"
        DEAD = "dead"

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(OutboxEvent, on_delete=models.CASCADE, related_name="deliveries")
    subscriber = models.TextField()
    state = models.TextField(choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    last_error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "outbox deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "subscriber"], name="outbox_delivery_once")]
        indexes = [
            models.Index("next_attempt_at", "id", condition=Q(state="pending"), name="outbox_delivery_due"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.subscriber}"


class IdempotencyKey(models.Model):
    """A request that was answered. The same key with the same content gets the same answer."""

    id = models.BigAutoField(primary_key=True)
    owner = models.TextField()
    key = models.TextField()
    action = models.TextField()
    request_digest = models.TextField()
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_once")]
        indexes = [models.Index("created_at", name="idempotency_created")]

    def __str__(self) -> str:
        return f"{self.owner}: {self.key}"


class MessageStart(models.Model):
    """How often a message was started that has not succeeded yet. Deleted when it succeeds.

    It stops a message that kills its workers, because killed workers leave no other trace. It is in PostgreSQL because
    Redis may be lost at any time.
    """

    message_id = models.TextField(primary_key=True)
    actor = models.TextField()
    starts = models.PositiveIntegerField(default=1)
    last_started_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index("last_started_at", name="message_start_age")]

    def __str__(self) -> str:
        return f"{self.actor} {self.message_id}: {self.starts}"


class Run(models.Model):
    """Long work that was accepted: its kind, its progress, its holder and its end.

    PostgreSQL is authoritative; a message in Redis only wakes a worker. :mod:`apps.core.runs` holds the lifecycle, and
    nothing else writes the columns of state, lease and bell. A room with more data about its runs adds a table that
    shares this primary key.
    """

    class State(models.TextChoices):
        PREPARING = "preparing"
        """Its input is still arriving; no worker is told to begin."""
        PENDING = "pending"
        RUNNING = "running"
        PAUSED = "paused"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"
        GIVEN_UP = "given_up"
        """Begun as often as allowed without coming to an end, because it kills its workers."""

    class Stop(models.TextChoices):
        NONE = ""
        PAUSE = "pause"
        CANCEL = "cancel"

    ENDED = (State.COMPLETED, State.FAILED, State.CANCELLED, State.GIVEN_UP)
    WAITING = (State.PREPARING, State.PENDING, State.PAUSED)

    id = models.UUIDField(primary_key=True, db_default=UUIDv7(), editable=False)
    kind = models.TextField()
    state = models.TextField(choices=State.choices, default=State.PENDING)
    parameters = models.JSONField(default=dict)
    position = models.JSONField(default=dict)
    """How far the work has got; a later attempt continues from here. ``furthest`` is the most that any attempt did."""
    origin = models.TextField(blank=True, default="")
    """A mark, such as ``demo``, on rows that belong together."""
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_by_name = models.TextField()
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    person_waits = models.BooleanField(default=False)
    dedupe_key = models.TextField(blank=True, default="")
    """Requests of one kind with the same key become one run until it begins. Only one run with a key runs at a time."""
    takes_more = models.BooleanField(default=False)
    """True while it has a key and has not begun: another request with its key is merged into it."""
    queue = models.TextField(default="default")
    attempts = models.PositiveIntegerField(default=0)
    """Those since the work last got further. Counted before it begins, because a worker that it kills cannot count
    afterwards."""
    max_attempts = models.PositiveIntegerField(default=3)
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(default=0)
    summary = models.JSONField(default=dict)
    warnings = models.JSONField(default=list)
    errors = models.JSONField(default=list)
    error_count = models.PositiveIntegerField(default=0)
    lease_owner = models.TextField(blank=True, default="")
    lease_token = models.BigIntegerField(default=0)
    """Grows with every claim. A worker with an older token has lost the run and may not change it any more."""
    lease_until = models.DateTimeField(null=True)
    message_id = models.TextField(blank=True, default="")
    """The message that is to wake a worker; empty once a worker was woken."""
    rung_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    stop = models.TextField(choices=Stop.choices, blank=True, default=Stop.NONE)
    """What a person asked a running run to do."""
    stop_asked_by = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "kind", "dedupe_key", condition=Q(takes_more=True) & ~Q(dedupe_key=""), name="run_one_waiting"
            ),
            models.UniqueConstraint(
                "kind",
                "dedupe_key",
                condition=Q(state="running") & ~Q(dedupe_key=""),
                name="run_one_running",
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False), name="run_is_held_while_running"
            ),
            models.CheckConstraint(
                condition=Q(takes_more=False) | Q(state__in=("preparing", "pending")),
                name="run_takes_more_only_before_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True)
                | Q(state__in=("completed", "failed", "cancelled", "given_up")),
                name="run_is_over_when_finished",
            ),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="run_newest"),
            models.Index("kind", F("created_at").desc(), name="run_kind_newest"),
            models.Index(
                "created_at", condition=Q(state__in=("pending", "running")), name="run_to_look_after"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended in any way."""
        return self.state in self.ENDED
