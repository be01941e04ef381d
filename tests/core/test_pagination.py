"""Pages by cursor neither repeat nor hide a row, whatever is added meanwhile."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.utils import timezone

from apps.accounts.models import ApiKey, Team, User
from apps.core.errors import NotFound
from apps.core.web.pagination import paginate

pytestmark = pytest.mark.django_db
START = timezone.now()


def keys(*minutes: int) -> list[str]:
    """Make keys that many minutes old; return their names."""
    user, _ = User.objects.get_or_create(username="ada")
    names = []
    for minute in minutes:
        name = f"{minute} minutes, {ApiKey.objects.count()}"
        created_at = START - timedelta(minutes=minute)
        ApiKey.objects.create(user=user, name=name, prefix="p", key_hash=name, created_at=created_at)
        names.append(name)
    return names


def walk(rows: QuerySet[ApiKey], order: tuple[str, ...], limit: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = paginate(rows, order=order, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        found += [key.name for key in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


NEWEST = ("-created_at", "-id")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 200])
@pytest.mark.parametrize(
    "order", [NEWEST, ("created_at", "-id"), ("-user__username", "created_at", "id"), ("-pk",), ("name",)]
)
def test_the_pages_together_are_the_listing(order: tuple[str, ...], limit: int) -> None:
    keys(3, 1, 1, 2, 1)
    expected = list(ApiKey.objects.order_by(*order).values_list("name", flat=True))
    assert walk(ApiKey.objects.select_related("user"), order, limit) == expected


def test_rows_added_meanwhile_neither_repeat_nor_hide_any() -> None:
    old = keys(10, 20, 30, 40)
    first = paginate(ApiKey.objects.all(), order=NEWEST, limit=2)
    keys(1, 2, 3)
    second = paginate(ApiKey.objects.all(), order=NEWEST, cursor=first.next_cursor, limit=10)
    assert [key.name for key in [*first.items, *second.items]] == old


def test_the_row_at_which_a_page_ended_may_go() -> None:
    old = keys(10, 20, 30, 40)
    first = paginate(ApiKey.objects.all(), order=NEWEST, limit=2)
    first.items[-1].delete()
    second = paginate(ApiKey.objects.all(), order=NEWEST, cursor=first.next_cursor, limit=10)
    assert [key.name for key in second.items] == old[2:]


def test_an_annotation_can_be_sorted_by() -> None:
    for name in ("long name", "b", "a"):
        Team.objects.create(name=name)
    rows = Team.objects.annotate(length=Length("name"))
    first = paginate(rows, order=("length", "name"), limit=2)
    assert [team.name for team in first.items] == ["a", "b"]
    rest = paginate(rows, order=("length", "name"), cursor=first.next_cursor, limit=2)
    assert [team.name for team in rest.items] == ["long name"]


def packed(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "ünïcode",
        "AAAA",
        packed(),
        packed("-created_at,-id"),
        packed("-created_at,-id", "yesterday", 1),
        packed("-created_at,-id", "2026-01-01T00:00:00+00:00", "one"),
        packed("-created_at,-id", "2026-01-01T00:00:00+00:00", 2**70),
        packed("-created_at,-id", None, None),
        packed("-created_at,-id", ["2026"], {"a": 1}),
        packed("name", "of another listing"),
        packed("-created_at,-id", "2026-01-01T00:00:00+00:00", 1) + "!!!!",
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    keys(1)
    with pytest.raises(NotFound) as refusal:
        paginate(ApiKey.objects.all(), order=NEWEST, cursor=cursor)
    assert [field.path for field in refusal.value.fields] == ["cursor"]
