"""A room makes itself known: the one that docs/rooms.md builds shows up everywhere, and no contract forgets a room."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.accounts.permissions import permissions
from apps.core.rooms import rooms
from console.embedded import ensure
from tests.house.running import ROOT, environment

pytestmark = pytest.mark.long
COPIED = ("apps", "console", "templates", "static", "fixtures", "manage.py", "pyproject.toml")
BLOCK = re.compile(r"^`((?:apps|templates)/freezes/\S+)`\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)

# What the room has to show for itself, asked from inside the copy. One line of JSON on stdout.
LOOK = r"""
import json, sys
from datetime import timedelta
from django.apps import apps
from django.test import Client
from django.test.utils import setup_test_environment
from django.utils import timezone
setup_test_environment()
import dramatiq
from apps.accounts.models import User
from apps.accounts.permissions import allowed
from apps.core.demo_parts import Story, parts
from console import scheduler
from console.workers import __main__ as workers
workers.setup()

def client(role):
    user = User.objects.create_user(role, role=role)
    found = Client(raise_request_exception=False)
    found.force_login(user)
    return found

admin, viewer, nobody = client("sre_admin"), client("viewer"), Client()
until = (timezone.now() + timedelta(days=5)).isoformat()
def post(who, **data):
    return who.post("/api/v1/actions/freezes.declare", json.dumps(data), content_type="application/json")
said = {
    "declared": post(admin, name="Peak", until=until).status_code,
    "refused": [post(viewer, name="Mine", until=until).status_code, post(nobody, name="Mine", until=until).status_code],
    "in the past": post(admin, name="Old", until="2020-01-01T00:00:00Z").json()["errors"][0]["path"],
    "page": viewer.get("/freezes/").content.decode(),
    "fragment": viewer.get("/freezes/", headers={"HX-Request": "true"}).content.decode(),
    "page of nobody": nobody.get("/freezes/").headers["Location"],
    "api": viewer.get("/api/v1/freezes").json(),
    "api of nobody": nobody.get("/api/v1/freezes").status_code,
    "audit": admin.get("/audit/?action=freezes").content.decode(),
    "dialog": admin.get("/actions/freezes.declare/").status_code,
    "openapi": sorted(path for path in admin.get("/api/v1/openapi.json").json()["paths"] if "freezes" in path),
    "may": [role for role in User.Role.values if allowed(User(role=role), "freezes.declare")],
    "jobs": [job.name for job in scheduler.jobs() if job.name.startswith("freezes")],
    "actors": [name for name in dramatiq.get_broker().actors if name.startswith("freezes")],
}
story = Story(timezone.now(), {}, {})
part = next(part for part in parts() if part.words == "freezes")
said["demo"] = [part.load(story), part.load(story), part.count(), part.remove(), part.count()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(kept_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a copy of Ballast says in which docs/rooms.md was followed."""
    copy = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy(source, copy / name)
    (copy / "apps/freezes").mkdir()
    (copy / "templates/freezes").mkdir()
    (copy / "apps/freezes/__init__.py").touch()
    for name, text in files_in_the_docs().items():
        (copy / name).write_text(text)

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=copy,
            env=environment(kept_data_dir),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ensure(kept_data_dir, durable=False):
        manage("makemigrations", "freezes")
        yield json.loads(manage("shell", "--no-imports", "-c", LOOK).splitlines()[-1])
    shutil.rmtree(copy)


def files_in_the_docs() -> dict[str, str]:
    return dict(BLOCK.findall((ROOT / "docs/rooms.md").read_text()))


def test_its_entry_stands_in_the_rail_under_its_verb(said: dict[str, Any]) -> None:
    rail = said["page"].split('aria-label="Rooms"')[1].split("</nav>")[0]
    assert re.search(r">Act<.*href=\"/freezes/\"[^>]*aria-current=\"page\"", rail, re.DOTALL)


def test_its_page_shows_what_was_declared_to_those_who_may_see_it(said: dict[str, Any]) -> None:
    assert "<li>Peak, until " in said["page"]
    assert said["fragment"].strip().startswith('<ul id="listing">')
    assert said["page of nobody"] == "/sign-in/?next=/freezes/"


def test_its_action_asks_for_the_permission_that_it_declares(said: dict[str, Any]) -> None:
    assert (said["declared"], said["refused"]) == (201, [403, 401])
    assert said["may"] == ["sre_admin"]
    assert (said["in the past"], said["dialog"]) == ("until", 200)


def test_its_action_and_its_route_are_in_the_api_and_in_its_document(said: dict[str, Any]) -> None:
    assert [one["name"] for one in said["api"]] == ["Peak"]
    assert said["api of nobody"] == 401
    actions = "/api/v1/actions/freezes.declare"
    assert said["openapi"] == [actions, f"{actions}/preview", "/api/v1/freezes"]


def test_the_audit_trail_has_its_sentence_and_its_area(said: dict[str, Any]) -> None:
    assert "Freeze Peak declared until 20" in said["audit"]
    assert re.search(r'<option value="freezes" selected>\s*change freezes', said["audit"])


def test_its_job_and_the_actor_of_it_are_found(said: dict[str, Any]) -> None:
    assert (said["jobs"], said["actors"]) == (["freezes.forget"], ["freezes.forget"])


def test_its_part_of_the_demo_comes_once_and_goes(said: dict[str, Any]) -> None:
    assert said["demo"] == [1, 0, 1, None, 0]


def test_the_docs_show_every_kind_of_file_that_is_found_by_its_name() -> None:
    shown = {Path(name).stem for name in files_in_the_docs()}
    assert shown >= {
        *("apps", "models", "queries", "actions", "views", "urls", "api", "tasks", "schedule"),
        "demo_part",
    }


def contract(name: str) -> dict[str, Any]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: dict[str, Any]
    (found,) = (one for one in document["tool"]["importlinter"]["contracts"] if one["id"] == name)
    return found


FOLDERS = {f"apps.{path.parent.name}" for path in ROOT.glob("apps/*/apps.py")}


@pytest.mark.parametrize(
    ("name", "part", "wanted"),
    [
        ("rooms", "layers", FOLDERS),
        ("doors", "containers", FOLDERS - {"apps.ui"}),  # it has no doors: nobody enters it
        ("engine-is-pure", "forbidden_modules", FOLDERS),
    ],
)
def test_no_contract_forgets_a_room(name: str, part: str, wanted: set[str]) -> None:
    named = {one for one in contract(name)[part] if one.startswith("apps.")}
    assert named == wanted, f"pyproject.toml, contract {name}, {part}"


def test_every_folder_but_the_look_is_a_room() -> None:
    assert {room.name for room in rooms()} == FOLDERS - {"apps.ui"}


def test_permissions_belong_to_their_room_and_are_held_by_roles_that_exist() -> None:
    for room in rooms():
        for permission, holders in room.permissions.items():
            assert permission.startswith(f"{room.label}.")
            assert set(holders) <= set(User.Role.values)
    assert {entry.permission for room in rooms() for entry in room.navigation} <= set(permissions())
