"""Whatever people do to each other's access, in whatever order: somebody can always manage users, who is deactivated
has nothing that opens a door, and every change is written down."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.accounts.models import ApiKey, User
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.models import AuditEntry
from tests.accounts.conftest import acting, is_signed_in, key_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
NAMES = ("ada", "grace", "edsger")
ROLES = ("sre_admin", "sre_admin", "viewer")
SECOND = "staple of stable number {}"

type Step = tuple[str, str, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "deactivate",
                "reactivate",
                "sign in",
                "make key",
                "change password",
                "reset",
                "end sessions",
                "demote",
            )
        ),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
    ),
    min_size=4,
    max_size=14,
)


class World:
    """Three people, what they hold, and the passwords that are right now."""

    def __init__(self) -> None:
        self.browsers: list[tuple[str, Client]] = []
        self.keys: list[tuple[str, str]] = []
        self.passwords = dict.fromkeys(NAMES, "correct horse battery")
        self.changes = 0
        for name, role in zip(NAMES, ROLES, strict=True):
            person(name, role)

    def do(self, what: str, by: str, whom: str) -> None:
        """Take one step; one that is refused changes nothing."""
        before = AuditEntry.objects.count()
        try:
            self._do(what, by, whom)
        except BallastError:
            assert AuditEntry.objects.count() == before, "a refusal was written down as a change"
            return
        if what != "make key":
            assert AuditEntry.objects.count() == before + 1, f"{what} by {by} of {whom}"

    def _do(self, what: str, by: str, whom: str) -> None:
        actor = acting(User.objects.get(username=by))
        named: dict[str, Any] = {"username": whom}
        because = named | {"rationale": "x"}
        if what == "deactivate":
            dispatch("accounts.deactivate", because, actor=actor)
        elif what == "reactivate":
            dispatch("accounts.reactivate", because, actor=actor)
        elif what == "demote":
            dispatch("accounts.set_role", named | {"role": "viewer"}, actor=actor)
        elif what == "end sessions":
            dispatch("accounts.end_sessions", named, actor=actor)
        elif what == "reset":
            self.passwords[whom] = dispatch("accounts.reset_password", because, actor=actor).value["password"]
        elif what == "change password":
            self.changes += 1
            new = SECOND.format(self.changes)
            given = {"current_password": self.passwords[by], "new_password": new}
            dispatch("accounts.change_password", given, actor=actor)
            self.passwords[by] = new
        elif what == "sign in":
            browser = Client()
            browser.post("/sign-in/", {"username": by, "password": self.passwords[by], "next": "/account/"})
            self.browsers.append((by, browser))
        else:
            self.keys.append((by, key_of(User.objects.get(username=by))))

    def check(self) -> None:
        """What holds after every step."""
        assert User.objects.filter(role="sre_admin", is_active=True).exists()
        gone = set(User.objects.filter(is_active=False).values_list("username", flat=True))
        for name, browser in self.browsers:
            assert not (name in gone and is_signed_in(browser)), f"{name} is deactivated and signed in"
        for name, raw in self.keys:
            if name in gone:
                assert Client(headers={"X-API-Key": raw}).get("/api/v1/actions").status_code == 401


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(STEPS)
def test_whatever_happens_in_whatever_order(steps: list[tuple[str, str, str]]) -> None:
    from django.db import transaction

    with transaction.atomic():
        world = World()
        for what, by, whom in steps:
            world.do(what, by, whom)
            world.check()
        back = [name for name in NAMES if not User.objects.get(username=name).is_active]
        root = User.objects.filter(role="sre_admin", is_active=True).first()
        assert root is not None
        held = [(name, browser) for name, browser in world.browsers if name in back]
        for name in back:
            dispatch("accounts.reactivate", {"username": name, "rationale": "x"}, actor=acting(root))
        assert not [name for name, browser in held if is_signed_in(browser)], "an old session came back"
        assert not ApiKey.objects.filter(user__username__in=back, revoked_at=None).exists()
        transaction.set_rollback(True)
