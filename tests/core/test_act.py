"""`manage.py act` is the same lever as the button, from the command line."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import Team
from apps.core.models import AuditEntry
from tests.core.conftest import person

pytestmark = pytest.mark.django_db


def act(*arguments: str) -> dict[str, object]:
    out = io.StringIO()
    call_command("act", *arguments, stdout=out)
    answer: dict[str, object] = json.loads(out.getvalue())
    return answer


def test_it_acts_as_the_user_and_says_so_in_the_audit_trail(lever: str) -> None:
    person("ada", "sre_admin")
    assert act(lever, "--as", "ada", "--input", '{"name": "payments"}')["number"] == 1
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.source) == ("ada", "command")


def test_a_preview_changes_nothing(lever: str) -> None:
    person("ada", "sre_admin")
    shown = act(lever, "--as", "ada", "--input", '{"name": "payments"}', "--preview")
    assert shown["summary"] == "payments is added."
    assert not Team.objects.exists()


def test_it_reads_the_input_from_stdin(lever: str, monkeypatch: pytest.MonkeyPatch) -> None:
    person("ada", "sre_admin")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "payments"}'))
    act(lever, "--as", "ada", "--input", "-")
    assert Team.objects.get().name == "payments 1"


def test_with_the_same_key_it_acts_once(lever: str) -> None:
    person("ada", "sre_admin")
    for _ in range(2):
        act(lever, "--as", "ada", "--input", '{"name": "payments"}', "--idempotency-key", "k")
    assert Team.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--as", "bob", "--input", '{"name": "p"}'), "Not allowed.*only an SRE admin"),
        (("--as", "ada", "--input", "{}"), "(?s)not valid.*name: "),
        (("--as", "ada", "--input", "{"), "not JSON"),
        (("--as", "nobody"), "no active user"),
    ],
)
def test_it_says_what_is_wrong(lever: str, arguments: tuple[str, ...], complaint: str) -> None:
    person("ada", "sre_admin")
    person("bob", "viewer")
    with pytest.raises(CommandError, match=complaint):
        act(lever, *arguments)
    assert not AuditEntry.objects.exists()
