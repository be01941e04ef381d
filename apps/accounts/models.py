"""Who uses Ballast: people with a role, the teams whose services they own, and the keys of their programs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.permissions import who_may


class Team(models.Model):
    """A team that owns services. ``origin`` says what brought it, so that the demo can be taken out again."""

    name = models.TextField(unique=True)
    origin = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. The role says what they may do; the teams say on whose services."""

    class Role(models.TextChoices):
        SRE_ADMIN = "sre_admin", "SRE admin"
        SERVICE_OWNER = "service_owner", "service owner"
        AUDITOR = "auditor", "auditor"
        VIEWER = "viewer", "viewer"

    role = models.TextField(choices=Role.choices, default=Role.VIEWER)
    teams = models.ManyToManyField(Team, blank=True, related_name="members")
    origin = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=["sre_admin", "service_owner", "auditor", "viewer"]),
                name="user_role_known",
            )
        ]

    def refusal(self, permission: str, target: models.Model | None = None) -> str:
        """Return a sentence that names who may do what this user may not."""
        return who_may(permission, target)


class ApiKey(models.Model):
    """A program's key: 256 random bits, kept only as a keyed hash. It acts as the user who made it."""

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
