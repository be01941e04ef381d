"""The tables of people with their roles, teams, sessions, sign-in counts and API keys."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.permissions import who_may


class Team(models.Model):
    """A team that owns services. ``origin`` says what created it, so that the demo can be removed."""

    name = models.TextField(unique=True)
    origin = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    archived_at = models.DateTimeField(null=True, blank=True)
    """When it was archived. A team that has services again counts as in use anyway."""

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. The role says what they may do, the teams say for which services."""

    class Role(models.TextChoices):
        SRE_ADMIN = "sre_admin", "SRE admin"
        SERVICE_OWNER = "service_owner", "service owner"
        AUDITOR = "auditor", "auditor"
        VIEWER = "viewer", "viewer"

    role = models.TextField(choices=Role.choices, default=Role.VIEWER)
    teams = models.ManyToManyField(Team, blank=True, related_name="members")
    origin = models.TextField(blank=True, default="")
    deactivated_at = models.DateTimeField(null=True, blank=True)
    """When an SRE admin deactivated this person. Their entries and objects stay."""
    must_change_password = models.BooleanField(default=False, db_default=False)
    """Somebody else knows the password, so no page opens before this person chooses another."""
    password_changed_at = models.DateTimeField(null=True, blank=True)
    """When the password was last changed or replaced; ``None`` for the account's first one."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=["sre_admin", "service_owner", "auditor", "viewer"]),
                name="user_role_known",
            )
        ]

    def refusal(self, permission: str, target: models.Model | None = None) -> str:
        """Return a sentence that says who may do it."""
        return who_may(permission, target)


class ApiKey(models.Model):
    """A program's key: 256 random bits, stored only as a keyed hash. It acts as the user who made it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.TextField()
    prefix = models.TextField()
    key_hash = models.TextField(unique=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("user", "created_at", name="api_key_user")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class UserSession(models.Model):
    """A browser in which somebody is signed in. Django's row holds the session; this one says whose it is and where.

    The session's key opens the session, so only its digest is stored here.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions")
    key_digest = models.TextField(unique=True)
    created_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    """Accurate to the minute, so that page views seldom write."""
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(blank=True, default="")

    class Meta:
        indexes = [models.Index("user", models.F("last_seen_at").desc(), name="user_session_newest")]

    def __str__(self) -> str:
        return f"session {self.pk}"


class SignInCount(models.Model):
    """Attempts to sign in within one window: by one name, from one address, or both together.

    ``subject`` never holds typed text, only a keyed digest of it. Above the limit attempts are refused, and ``refused``
    counts them. The row is deleted when its window is over.
    """

    subject = models.TextField(primary_key=True)
    scope = models.TextField()
    attempts = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    ip = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [models.Index("ends_at", name="sign_in_count_end")]

    def __str__(self) -> str:
        return f"{self.scope}: {self.attempts}"
