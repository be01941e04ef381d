"""On a start without the demo the sign-in page says how the first administrator is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.accounts.queries import nobody_yet

pytestmark = pytest.mark.django_db
HINT = b"manage.py create_admin --username NAME"


def test_with_nobody_who_can_sign_in_the_page_names_the_command(client: Client) -> None:
    User.objects.create_user("gone", password="correct horse battery", is_active=False)
    User.objects.create_user("locked")
    assert HINT in client.get("/sign-in/").content


def test_on_the_terminal_the_command_finds_the_database_that_was_started(settings: Any) -> None:
    settings.DATA_DIR = settings.BASE_DIR / ".local"
    assert nobody_yet().endswith(": .venv/bin/python manage.py create_admin --username NAME")
    settings.DATA_DIR = Path("/srv/my data")
    assert ": BALLAST_DATA_DIR='/srv/my data' .venv/bin/python manage.py create_admin" in nobody_yet()


def test_with_somebody_it_says_nothing_of_it(client: Client) -> None:
    User.objects.create_user("ada", password="correct horse battery")
    assert HINT not in client.get("/sign-in/").content
