"""Whoever runs statements as the application's role writes no audit entry: that needs SECRET_KEY, which they lack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connections, transaction
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.core.database import audit_proofs
from apps.core.database.audit_proofs import note_key, proof_of
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

BOUND = (
    "action",
    "actor_name",
    "source",
    "request_id",
    "object_type",
    "object_id",
    "object_label",
    "service_id",
    "rationale",
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def entry(**fields: Any) -> AuditEntry:
    usual = {"action": "slos.accept", "actor_name": "system: x", "source": "web", "object_type": "slo"}
    return AuditEntry(**(usual | {"object_id": "1"} | fields))


def insert(made: AuditEntry) -> None:
    with transaction.atomic():
        made.save(force_insert=True)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.mark.parametrize("proof", ["-", ":", "00:00", f"{'0' * 32}:{'0' * 64}"])
def test_an_entry_without_a_right_proof_is_refused(ada: User, proof: str) -> None:
    for fields in ({}, {"actor": ada, "actor_name": "ada"}):
        with pytest.raises(ProgrammingError, match="needs a proof"):
            insert(entry(proof=proof, **fields))
    with connections["default"].cursor() as cursor, pytest.raises(ProgrammingError, match="needs a proof"):
        cursor.execute(
            "INSERT INTO core_auditentry (action, actor_id, actor_name, source, api_key_prefix, request_id,"
            " object_type, object_id, object_label, service_id, rationale)"
            " VALUES ('slos.accept', %s, 'ada', 'web', '', '', 'slo', '1', '', '', '')",
            [ada.pk],
        )


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.fixed_dictionaries({name: TEXTS for name in BOUND if name != "actor_name"}))
def test_whatever_ballast_writes_is_taken(ada: User, fields: dict[str, str]) -> None:
    insert(entry(**fields))
    insert(entry(actor=ada, **fields | {"actor_name": "ada"}))


@pytest.mark.parametrize("name", BOUND)
def test_a_proof_is_good_for_its_entry_alone(ada: User, name: str) -> None:
    honest = entry(actor=ada, actor_name="ada")
    other = entry(actor=ada, actor_name="ada", proof=proof_of(honest))
    setattr(other, name, "another")
    with pytest.raises(ProgrammingError):
        insert(other)


def test_a_proof_is_good_for_its_actor_alone(ada: User) -> None:
    grace = User.objects.create_user("grace")
    honest = entry(actor=ada, actor_name="ada")
    with pytest.raises(ProgrammingError, match="needs a proof"):
        insert(entry(actor=grace, actor_name="grace", proof=proof_of(honest)))


def test_words_moved_from_one_field_to_the_next_are_another_entry() -> None:
    honest = entry(object_type="ab", object_id="c")
    with pytest.raises(ProgrammingError, match="needs a proof"):
        insert(entry(object_type="a", object_id="bc", proof=proof_of(honest)))


def test_a_proof_is_good_once(ada: User) -> None:
    made = entry(actor=ada, actor_name="ada")
    insert(made)
    with pytest.raises(IntegrityError, match="audit_proof_once"):
        insert(entry(actor=ada, actor_name="ada", proof=made.proof))


def test_entries_in_bulk_have_their_proofs(ada: User) -> None:
    made = AuditEntry.objects.bulk_create([entry(actor=ada, actor_name="ada") for _ in range(3)])
    assert len({one.proof for one in made}) == 3
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM core_auditkey",
        "INSERT INTO core_auditkey (name, inner_pad, outer_pad) VALUES ('mine', '', '')",
        "UPDATE core_auditkey SET inner_pad = ''",
        "DELETE FROM core_auditkey",
        "TRUNCATE core_auditkey",
        "DROP TRIGGER core_auditentry_proven ON core_auditentry",
        "ALTER TABLE core_auditentry DISABLE TRIGGER core_auditentry_proven",
        "CREATE OR REPLACE FUNCTION core_prove_audit_entry() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    ],
)
def test_the_application_neither_reads_the_key_nor_takes_the_check_away(statement: str) -> None:
    with connections["default"].cursor() as cursor, pytest.raises(ProgrammingError) as refused:
        cursor.execute(statement)
    assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)


@pytest.fixture
def _own_key_again(transactional_db: None, settings: Any) -> Iterator[None]:
    old = settings.SECRET_KEY
    yield
    settings.SECRET_KEY = old
    note_key()


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.usefixtures("_own_key_again")
def test_old_and_new_secret_keys_count_side_by_side_and_the_oldest_goes(settings: Any) -> None:
    old = settings.SECRET_KEY
    for number in range(audit_proofs.KEYS_KEPT - 1):
        settings.SECRET_KEY = f"{number}" * 50
        note_key()
        insert(entry())
    settings.SECRET_KEY = old
    insert(entry())
    for number in range(audit_proofs.KEYS_KEPT):
        settings.SECRET_KEY = f"x{number}" * 25
        note_key()
    settings.SECRET_KEY = old
    with pytest.raises(ProgrammingError, match="needs a proof"):
        insert(entry())


def test_a_process_whose_key_was_not_noted_is_not_ready(client: Client, settings: Any) -> None:
    assert client.get("/-/ready").json()["checks"]["audit"] == "ok"
    settings.SECRET_KEY = "never noted" * 5
    answer = client.get("/-/ready")
    assert answer.status_code == 503
    assert "run manage.py migrate" in answer.json()["checks"]["audit"]
