"""`manage.py demo`: where there is no demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.core.models import AuditEntry
from tests.demo.snapshots import demo


def test_ensure_does_nothing_where_no_demo_is_wanted(db: None, passwords: Path, settings: Any) -> None:
    settings.DEMO = False
    out, err = demo("ensure")
    assert (out, err) == ("", "DEMO is 0: no demo.\n")
    assert not AuditEntry.objects.exists()
    assert not passwords.exists()


def test_ensure_names_what_is_in_the_way(db: None, settings: Any) -> None:
    settings.DEMO = True
    Service.objects.create(service_id="orders")
    with pytest.raises(CommandError, match="orders"):
        demo("ensure")


def test_extend_says_how_to_get_a_demo(db: None) -> None:
    with pytest.raises(CommandError, match="demo load"):
        demo("extend")


def test_without_a_demo_it_says_why_there_are_no_sign_ins(db: None, passwords: Path) -> None:
    out, err = demo("signins")
    assert out == ""
    assert err.splitlines() == [
        "The demo was never loaded, so it has no sign-ins; `manage.py demo load` brings it in.",
        "Nobody can sign in yet. Make the first administrator: "
        f"BALLAST_DATA_DIR={passwords.parent} .venv/bin/python manage.py create_admin --username NAME",
    ]
    assert not passwords.exists()


def test_where_somebody_can_sign_in_nobody_is_asked_for(db: None, passwords: Path) -> None:
    User.objects.create_user("ada", password="correct horse battery")
    assert len(demo("signins")[1].splitlines()) == 1
