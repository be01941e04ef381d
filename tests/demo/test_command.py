"""`manage.py demo`: what it says and when it does nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apps.catalog.models import Service
from apps.core.demo_parts import ORIGIN
from apps.core.models import AuditEntry
from tests.demo.fleets import tiny_fleet
from tests.demo.snapshots import demo, everything, remove


def test_ensure_respects_a_removal(loaded: Any, settings: Any) -> None:
    settings.DEMO = True
    remove()
    _, err = demo("ensure")
    assert "was removed" in err
    assert "demo load" in err
    assert not Service.objects.filter(origin=ORIGIN).exists()


def test_sign_ins_are_printed_with_name_password_and_what_they_are_for(loaded: Any, passwords: Path) -> None:
    kept = json.loads(passwords.read_text())
    out, _ = demo("signins")
    for name in ("sre", "owner", "auditor"):
        line = next(line for line in out.splitlines() if line.split()[:1] == [name])
        assert line.split()[1] == kept[name]
    assert json.loads(demo("signins", "--json")[0]) == kept


def test_a_reset_prints_new_ones(loaded: Any, passwords: Path) -> None:
    before = json.loads(passwords.read_text())
    after = json.loads(demo("signins", "--reset", "--json")[0])
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_a_dry_run_counts_and_changes_nothing(loaded: Any) -> None:
    before = everything()
    out, _ = demo("remove", "--dry-run")
    assert f"{len(tiny_fleet().services)} services" in out
    assert everything() == before


def test_remove_says_what_went_and_the_second_time_that_nothing_is_there(
    loaded: Any, passwords: Path
) -> None:
    out, err = demo("remove")
    assert f"{len(tiny_fleet().services)} services" in out
    assert "cannot sign in" in out
    assert "manage.py create_admin --username NAME" in err
    assert not passwords.exists()
    entries = AuditEntry.objects.count()
    assert demo("remove")[0] == "There is no demo here.\n"
    assert AuditEntry.objects.count() == entries
