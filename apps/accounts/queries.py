"""What the pages show of keys, and whether there is anybody to show it to."""

from __future__ import annotations

import shlex

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models import F, QuerySet

from apps.accounts.models import ApiKey, User

FIRST_ADMIN_COMMAND = "manage.py create_admin --username NAME"


def nobody_yet() -> str:
    """Say on the terminal that nobody can sign in, and the command that makes somebody, for this data folder."""
    where = ""
    if settings.EMBEDDED_POSTGRES and settings.DATA_DIR != settings.BASE_DIR / ".local":
        # Without it the command would make somebody in another database than the one that was started.
        where = f"BALLAST_DATA_DIR={shlex.quote(str(settings.DATA_DIR))} "
    return (
        f"Nobody can sign in yet. Make the first administrator: {where}.venv/bin/python {FIRST_ADMIN_COMMAND}"
    )


def nobody_can_sign_in() -> bool:
    """Say whether there is no active person with a password, as on a start without the demo."""
    people = User.objects.filter(is_active=True)
    return not people.exclude(password="").exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exists()


def keys_of(user: User) -> QuerySet[ApiKey]:
    """Return a user's keys: those in use first, newest first."""
    return ApiKey.objects.filter(user=user).order_by(
        F("revoked_at").desc(nulls_first=True), F("created_at").desc(), F("id").desc()
    )
