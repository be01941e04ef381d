"""The levers reach as far as the permission: an owner's end at the team, those of system runs at the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import NotAllowed
from apps.core.models import AuditEntry, Run
from apps.core.runs import kinds, levers
from tests.core import runs
from tests.core.conftest import person

pytestmark = pytest.mark.django_db

KINDS = [kind.name for kind in kinds.all_kinds() if not kind.name.startswith("test")]
LEVERS = ("cancel", "pause", "resume", "retry")


@pytest.fixture
def service() -> Service:
    """A service of the team payments."""
    return Service.objects.create(service_id="payments-api", team=Team.objects.create(name="payments"))


def owner(*teams: str) -> Actor:
    """A service owner of these teams, and of none without any."""
    user = User.objects.create_user(f"owner-{'-'.join(teams)}", role="service_owner")
    user.teams.set([Team.objects.get_or_create(name=name)[0] for name in teams])
    return Actor.person(user, AuditEntry.Source.WEB)


def run_of(kind: str, service: Service, asked: User | None = None) -> Run:
    """A run of the kind that waits: about the service where the kind is about one."""
    parameters: dict[str, Any] = {"service": service.pk, "tickets": [], "asked_by": "x"}
    if "service" not in kinds.get(kind).parameters.model_fields:
        parameters = {}
    return Run.objects.create(
        kind=kind,
        state=Run.State.PENDING,
        parameters=parameters,
        requested_by=asked,
        requested_by_name=asked.username if asked else "system: tests",
        created_at=timezone.now(),
        queue="default",
        max_attempts=3,
    )


@pytest.mark.parametrize("teams", [(), ("shop",)])
@pytest.mark.parametrize("kind", KINDS)
def test_owners_of_no_team_and_of_another_pull_no_lever(
    kind: str, teams: tuple[str, ...], service: Service
) -> None:
    actor, run = owner(*teams), run_of(kind, service)
    assert not levers.may_pull(actor, run)
    for lever in LEVERS:
        with pytest.raises(NotAllowed):
            dispatch(f"core.{lever}_run", {"run_id": str(run.pk)}, actor=actor)
    assert Run.objects.get(pk=run.pk).state == Run.State.PENDING


@pytest.mark.parametrize("kind", KINDS)
def test_owners_of_a_team_reach_only_what_is_about_their_service(kind: str, service: Service) -> None:
    assert levers.may_pull(owner("payments"), run_of(kind, service)) == (kind == "slos.regenerate")


@pytest.mark.parametrize("kind", KINDS)
def test_an_admin_reaches_all(kind: str, service: Service) -> None:
    assert levers.may_pull(person("olga", "sre_admin"), run_of(kind, service))


@pytest.mark.parametrize("kind", [name for name in KINDS if name.startswith("schedule.")])
def test_a_job_that_a_person_began_again_stays_the_admins(kind: str, service: Service) -> None:
    admin = person("olga", "sre_admin")
    assert not levers.may_pull(owner("payments"), run_of(kind, service, admin.user))


def test_a_run_about_a_service_that_is_gone_is_the_admins(service: Service) -> None:
    run = run_of("slos.regenerate", service)
    actor = owner("payments")
    service.delete()
    with pytest.raises(NotAllowed, match="only an SRE admin"):
        dispatch("core.cancel_run", {"run_id": str(run.pk)}, actor=actor)


def test_a_permission_that_any_owner_holds_does_not_reach_what_the_system_began(service: Service) -> None:
    with runs.known(permission="catalog.ingest"):
        actor = owner("payments")
        assert not levers.may_pull(actor, run_of(runs.KIND.name, service))
        assert levers.may_pull(actor, run_of(runs.KIND.name, service, actor.user))
