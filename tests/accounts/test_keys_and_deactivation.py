"""No key outlives the deactivation of its person, in whatever order the two happen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.models import ApiKey
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError, NotAllowed
from tests.accounts.conftest import acting, person

pytestmark = pytest.mark.usefixtures("quick_passwords")
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"


def make_key(grace: Actor, root: Actor) -> dict[str, Any]:
    return dispatch("accounts.create_api_key", {"name": "backstage"}, actor=grace).value


def deactivate(grace: Actor, root: Actor) -> dict[str, Any]:
    return dispatch("accounts.deactivate", {"username": "grace", "rationale": "left"}, actor=root).value


@pytest.mark.django_db
def test_who_was_deactivated_since_the_request_began_makes_no_key() -> None:
    grace, root = acting(person("grace")), acting(person("root", "sre_admin"))
    deactivate(grace, root)
    with pytest.raises(NotAllowed, match="deactivated"):
        make_key(grace, root)
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("first", "second"), [(make_key, deactivate), (deactivate, make_key)])
def test_of_two_at_once_no_key_survives(
    first: Callable[..., dict[str, Any]], second: Callable[..., dict[str, Any]]
) -> None:
    grace, root = acting(person("grace")), acting(person("root", "sre_admin"))
    is_over = threading.Event()

    def run_second() -> None:
        try:
            second(grace, root)
        except BallastError:
            pass
        finally:
            is_over.set()
            connection.close()

    thread = threading.Thread(target=run_second)
    with transaction.atomic():
        first(grace, root)
        thread.start()
        with connection.cursor() as cursor:
            while not is_over.wait(0.02):
                cursor.execute(WAITING)
                if cursor.fetchone()[0]:
                    break
    thread.join(timeout=60)
    assert is_over.is_set()
    assert not ApiKey.objects.filter(revoked_at=None).exists()
