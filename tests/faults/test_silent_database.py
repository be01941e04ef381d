"""Whether PostgreSQL lives is asked once, and known to all until it is back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from apps.core.database.errors import ServerSilent
from apps.core.database.waiting import Patience, PatientConnection
from apps.core.database.watch import ServerWatch, is_refusal
from tests.house.waiting import until


@pytest.fixture
def real() -> dict[str, Any]:
    watched: Any = connections["default"]
    return dict(watched.plain_parameters())


@pytest.fixture
def silent(real: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield real | {"host": "127.0.0.1", "port": server.getsockname()[1]}


@pytest.mark.django_db
def test_a_server_that_answers_is_not_silent(real: dict[str, Any]) -> None:
    watch = ServerWatch(lambda: real)
    assert not watch.is_silent()
    watch.refuse_while_silent()


@pytest.mark.django_db
def test_a_server_that_refuses_lives(real: dict[str, Any]) -> None:
    watch = ServerWatch(lambda: real | {"password": "not this", "user": "nobody_at_all"})
    assert not watch.is_silent()
    watch.refuse_while_silent()


def test_an_error_that_the_server_did_not_write_is_no_refusal() -> None:
    assert is_refusal(psycopg.OperationalError("FATAL:  sorry, too many clients already"))
    assert not is_refusal(psycopg.OperationalError("connection timeout expired"))


@pytest.mark.django_db
def test_everybody_is_refused_until_a_silent_server_is_back(
    real: dict[str, Any], silent: dict[str, Any]
) -> None:
    answers = [silent]
    watch = ServerWatch(lambda: answers[-1])
    assert watch.is_silent() is True
    for _ in range(3):
        with pytest.raises(ServerSilent, match="no sign of life"):
            watch.refuse_while_silent()
    assert watch.is_silent() is True
    answers.append(real)

    def is_back() -> bool:
        try:
            watch.refuse_while_silent()
        except ServerSilent:
            return False
        return True

    until(is_back, "it is known that the server is back")
    assert watch.is_silent() is False


@pytest.fixture
def patient(real: dict[str, Any]) -> Iterator[PatientConnection]:
    with PatientConnection.connect(**real, autocommit=True) as connection:
        yield connection


@pytest.mark.django_db
def test_a_slow_answer_of_a_server_that_lives_is_waited_for(
    real: dict[str, Any], patient: PatientConnection
) -> None:
    patient.patience, patient.watch = Patience(0.1), ServerWatch(lambda: real)
    assert patient.execute("SELECT 7 FROM pg_sleep(0.6)").fetchone() == (7,)
    assert patient.execute("SELECT generate_series(1, 3)").fetchall() == [(1,), (2,), (3,)]


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["nobody knows whether it lives", "at most so long"])
def test_an_answer_that_does_not_come_is_given_up_with_its_connection(
    real: dict[str, Any], patient: PatientConnection, how: str
) -> None:
    if how == "at most so long":
        patient.patience, patient.watch = Patience(0.1, at_most=0.3), ServerWatch(lambda: real)
    else:
        patient.patience = Patience(0.1)
    with pytest.raises(ServerSilent, match="has not answered"):
        patient.execute("SELECT pg_sleep(20)")
    assert patient.closed
