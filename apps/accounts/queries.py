"""What the pages show of keys."""

from __future__ import annotations

from django.db.models import F, QuerySet

from apps.accounts.models import ApiKey, User


def keys_of(user: User) -> QuerySet[ApiKey]:
    """Return a user's keys: those in use first, newest first."""
    return ApiKey.objects.filter(user=user).order_by(
        F("revoked_at").desc(nulls_first=True), F("created_at").desc(), F("id").desc()
    )
