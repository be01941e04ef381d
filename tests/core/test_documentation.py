"""A setting, an action or a permission that is not documented does not exist for whoever runs Ballast."""

from __future__ import annotations

import re
from pathlib import Path

from apps.accounts.permissions import permissions
from apps.core.actions import all_actions
from apps.core.rooms import Scope

ROOT = Path(__file__).parents[2]

# What the code reads from the environment, in any of the ways that it does.
READ = re.compile(
    r"""(?:env\.\w+\(\s*|environ\.get\(\s*|environ\[\s*|getenv\(\s*|environ\.setdefault\(\s*)["']([A-Z][A-Z0-9_]+)["']"""
)
FOREIGN = {"PATH", "HOME", "TMPDIR", "DJANGO_SETTINGS_MODULE"}
"""Variables of the system and of Django that mean here what they mean everywhere."""


def variables_read() -> set[str]:
    """Return the names of all environment variables that the product reads."""
    files = [ROOT / "manage.py", *ROOT.glob("console/**/*.py"), *ROOT.glob("apps/**/*.py")]
    return {name for file in files for name in READ.findall(file.read_text())} - FOREIGN


def documented(page: str, chapter: int | None = None) -> set[str]:
    """Return what stands in code style in the first column of a page's tables; ``chapter`` 0 is before the first."""
    text = (ROOT / "docs" / page).read_text()
    if chapter is not None:
        text = re.split(r"^## ", text, flags=re.MULTILINE)[chapter]
    return set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))


def test_the_reader_finds_what_is_read() -> None:
    assert {"DATABASE_URL", "SECRET_KEY", "PORT"} <= variables_read()


def test_every_setting_is_documented_and_no_other() -> None:
    assert documented("configuration.md") == variables_read()


def test_every_action_is_documented_and_no_other() -> None:
    actions = {action.name for action in all_actions() if type(action).__module__.startswith("apps.")}
    assert documented("actions.md", 0) == actions


def test_what_is_said_of_an_action_is_so() -> None:
    page = (ROOT / "docs" / "actions.md").read_text()
    for action in all_actions():
        if type(action).__module__.startswith("apps."):
            row = f"| `{action.name}` | {action.title} | {action.permission} | {action.risk} |"
            assert row in page, row


def test_who_holds_a_permission_is_documented() -> None:
    page = (ROOT / "docs" / "actions.md").read_text()
    words = {Scope.ALL: "all", Scope.OWN_TEAMS: "own teams", None: "—"}
    roles = ("sre_admin", "service_owner", "auditor", "viewer")
    for name, holders in permissions().items():
        row = f"| `{name}` | {' | '.join(words[holders.get(role)] for role in roles)} |"
        assert row in page, row
    assert documented("actions.md", 1) == set(permissions())


def test_every_action_asks_for_a_permission_that_a_room_declares() -> None:
    for action in all_actions():
        assert action.permission in permissions(), action.name
