"""A key is shown once, kept as a keyed hash, and ends when it is revoked, expires or its person goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import NotAllowed, NotFound
from apps.core.models import AuditEntry, IdempotencyKey, OutboxEvent

pytestmark = pytest.mark.django_db
MAKE = "accounts.create_api_key"
REVOKE = "accounts.revoke_api_key"


def actor(name: str = "ada", role: str = "viewer", **where: Any) -> Actor:
    user, _ = User.objects.get_or_create(username=name, defaults={"role": role})
    return Actor.person(user, AuditEntry.Source.WEB, **where)


def make(by: Actor | None = None, **data: Any) -> str:
    return str(dispatch(MAKE, {"name": "ci", **data}, actor=by or actor()).value["key"])


def test_a_key_has_256_random_bits_and_a_mark() -> None:
    raw = make()
    assert raw.startswith("blst_")
    assert len(raw) == len("blst_") + 43  # 32 bytes in base64
    assert raw != make()


def test_the_key_opens_the_api_as_its_person() -> None:
    client = Client(headers={"X-API-Key": make()})
    assert client.get("/api/v1/actions").status_code == 200


def test_nothing_that_is_kept_contains_the_key() -> None:
    raw = dispatch(MAKE, {"name": "ci"}, actor=actor(), idempotency_key="k").value["key"]
    kept = [
        row for model in (ApiKey, AuditEntry, IdempotencyKey, OutboxEvent) for row in model.objects.values()
    ]
    assert len(kept) == 4
    assert raw[len("blst_") + 6 :] not in str(kept)
    assert api_keys.key_hash(raw) not in str([row for row in kept if "key_hash" not in row])


def test_a_replay_says_that_the_key_was_shown_before() -> None:
    first = dispatch(MAKE, {"name": "ci"}, actor=actor(), idempotency_key="k")
    again = dispatch(MAKE, {"name": "ci"}, actor=actor(), idempotency_key="k")
    assert first.value["key"]
    assert again.value["key"] is None
    assert again.value["prefix"] == first.value["prefix"]
    assert "shown once" in again.value["note"]
    assert ApiKey.objects.count() == 1


def test_a_key_cannot_make_another() -> None:
    with pytest.raises(NotAllowed, match="cannot make another"):
        make(actor(api_key_prefix="blst_abcdef"))
    assert not ApiKey.objects.exists()


def test_an_expired_key_is_refused() -> None:
    raw = make(expires_in_days=2)
    assert api_keys.find(raw) is not None
    assert api_keys.find(raw, now=timezone.now() + timedelta(days=2, seconds=1)) is None


def test_a_key_ends_with_its_persons_account() -> None:
    raw = make()
    User.objects.update(is_active=False)
    assert api_keys.find(raw) is None


@pytest.mark.parametrize(
    "raw", ["", "blst_", "nonsense", "blst_" + "x" * 43, "blst_" + "x" * 10_000, "blst_\0"]
)
def test_an_unknown_key_is_refused(raw: str) -> None:
    make()
    assert api_keys.find(raw) is None


def test_a_key_survives_a_change_of_the_secret_and_moves_to_the_new_one(settings: Any) -> None:
    raw = make()
    before = ApiKey.objects.get().key_hash
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next secret"
    assert api_keys.find(raw) is not None
    assert ApiKey.objects.get().key_hash != before
    settings.SECRET_KEY_FALLBACKS = []
    assert api_keys.find(raw) is not None


def test_a_forgotten_secret_ends_its_keys(settings: Any) -> None:
    raw = make()
    settings.SECRET_KEY = "the next secret"
    assert api_keys.find(raw) is None


def test_use_is_noted_to_the_minute() -> None:
    raw = make()
    start = timezone.now()
    noted = []
    for seconds in (0, 59, 61):
        api_keys.find(raw, now=start + timedelta(seconds=seconds))
        noted.append(ApiKey.objects.get().last_used_at)
    assert noted == [start, start, start + timedelta(seconds=61)]


def test_a_revoked_key_is_refused_at_once_and_for_ever() -> None:
    raw = make()
    dispatch(REVOKE, {"key_id": ApiKey.objects.get().pk}, actor=actor())
    first = ApiKey.objects.get().revoked_at
    assert first is not None
    assert api_keys.find(raw) is None
    dispatch(REVOKE, {"key_id": ApiKey.objects.get().pk}, actor=actor())
    assert ApiKey.objects.get().revoked_at == first


def test_another_persons_key_is_out_of_reach() -> None:
    make()
    with pytest.raises(NotFound):
        dispatch(REVOKE, {"key_id": ApiKey.objects.get().pk}, actor=actor("eve"))
    assert ApiKey.objects.get().revoked_at is None


def test_an_admin_may_revoke_anybodys_key() -> None:
    make()
    dispatch(REVOKE, {"key_id": ApiKey.objects.get().pk}, actor=actor("root", "sre_admin"))
    assert ApiKey.objects.get().revoked_at is not None
    assert AuditEntry.objects.get(action=REVOKE).actor_name == "root"
