"""Sign-in by password and authorisation by role and team."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from apps.accounts.permissions import allowed


class RoleBackend(ModelBackend):
    """Django's password check with Ballast's roles in place of stored permissions."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return bool(user_obj.is_active) and allowed(user_obj, perm, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return bool(user_obj.is_active)
