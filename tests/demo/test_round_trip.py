"""Loading and removing leave exactly what was there before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import User
from apps.core.actions import Actor
from apps.core.demo_parts import ORIGIN
from apps.core.errors import NotAllowed
from apps.core.models import AuditEntry
from apps.demo import queries
from apps.slos.models import ActiveSlo
from tests.demo.snapshots import everything, remove


def test_it_leaves_exactly_what_was_there_before(mine: User, load: Callable[[], Any]) -> None:
    before = everything()
    load()
    assert everything() != before
    remove()
    after = everything()
    # The demo's users stand in the audit trail by what they decided: they stay, and cannot sign in.
    kept = User.objects.filter(origin=queries.ORIGIN_REMOVED)
    assert set(kept.values_list("username", flat=True)) <= {"sre", "owner"}
    assert not any(user.is_active or user.has_usable_password() for user in kept)
    before.pop("accounts_user")
    after.pop("accounts_user")
    assert after == before
    assert User.objects.filter(origin=ORIGIN).count() == 0
    assert ActiveSlo.objects.get().service.service_id == "acme/api"


def test_removing_what_was_never_there_is_fine(db: None) -> None:
    assert remove()["services"] == 0


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
def test_only_an_sre_admin_may_remove_it(db: None, role: str) -> None:
    user = User.objects.create(username="someone", role=role)
    with pytest.raises(NotAllowed):
        remove(Actor.person(user, AuditEntry.Source.WEB))
