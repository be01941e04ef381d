"""No new name passes for another, and pages show what is in those from before."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from apps.accounts.actions import CreateApiKeyInput, CreateUserInput, SetRoleInput
from apps.accounts.models import Team, User
from apps.catalog.actions.services import DeclareServiceInput
from apps.catalog.models import Service
from apps.catalog.services import upsert_graph
from apps.core.actions import ActionInput, Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, InvalidInput
from apps.core.models import AuditEntry
from apps.core.text.alike import look_of
from apps.core.text.names import called, name_problem, visible
from apps.core.web.visible_pages import VisibleCharactersMiddleware
from apps.journeys.inputs import CreateInput
from tests.pages import client_of

UNSEEN: tuple[Literal["Cc", "Cf", "Zl", "Zp", "Co"], ...] = ("Cc", "Cf", "Zl", "Zp", "Co")
OTHER_DRAWN_AS_NOTHING = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef"
)
unseen = st.characters(categories=UNSEEN) | st.sampled_from(OTHER_DRAWN_AS_NOTHING)
seen = st.characters(
    exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"],
    exclude_characters=OTHER_DRAWN_AS_NOTHING,
)
LATIN = "abcABCxyz\u00e9\u00df\u0142"
OTHERS = {
    "Greek": "\u03b1\u03bf\u0391\u03c9",
    "Cyrillic": "\u0430\u0441\u0410\u0436",
    "Armenian": "\u0578\u057d",
}
alphabet_pairs = st.sampled_from(
    [(LATIN, other) for other in OTHERS.values()] + [(OTHERS["Greek"], OTHERS["Cyrillic"])]
)
wide = examples(max_examples=60, deadline=None, derandomize=True, database=None)
in_database = examples(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FIELDS: dict[str, tuple[type[ActionInput], str, Callable[[str], dict[str, Any]]]] = {
    "username": (CreateUserInput, "username", lambda name: {"username": name}),
    "team": (CreateUserInput, "teams.0", lambda name: {"username": "ada", "teams": [name]}),
    "team of somebody": (
        SetRoleInput,
        "teams.0",
        lambda name: {"username": "a", "role": "viewer", "teams": [name]},
    ),
    "service": (DeclareServiceInput, "service_id", lambda name: {"service_id": name}),
    "journey": (
        CreateInput,
        "name",
        lambda name: {"name": name, "paths": [{"steps": [{"service_id": "a"}]}]},
    ),
    "path of a journey": (
        CreateInput,
        "paths.0.name",
        lambda name: {"name": "a", "paths": [{"name": name, "steps": [{"service_id": "a"}]}]},
    ),
    "API key": (CreateApiKeyInput, "name", lambda name: {"name": name}),
}


def problem_with(kind: str, name: str) -> str:
    """What an input says of a name, or nothing."""
    model, path, data = FIELDS[kind]
    try:
        model.model_validate(data(name))
    except ValidationError as error:
        found = {".".join(map(str, item["loc"])): item["msg"] for item in error.errors()}
        return found.get(path, "")
    return ""


def test_every_character_that_is_not_drawn_is_known() -> None:
    wrong = [
        called(character)
        for character in map(chr, range(0x110000))
        if (unicodedata.category(character) in {*UNSEEN, "Cs"} or character in OTHER_DRAWN_AS_NOTHING)
        and not name_problem(f"a{character}b")
    ]
    assert wrong == []


@pytest.mark.parametrize("kind", FIELDS)
@wide
@given(
    before=st.text(st.sampled_from("abc"), min_size=1),
    character=unseen,
    after=st.text(st.sampled_from("abc"), min_size=1),
)
def test_a_character_that_cannot_be_seen_is_refused_by_its_name(
    kind: str, before: str, character: str, after: str
) -> None:
    words = problem_with(kind, before + character + after)
    assert f"U+{ord(character):04X}" in words
    assert unicodedata.name(character, "") in words


@pytest.mark.parametrize("kind", FIELDS)
@wide
@given(pair=alphabet_pairs, data=st.data(), turned=st.booleans(), mark=st.sampled_from(["", "\u0301"]))
def test_letters_of_two_alphabets_side_by_side_are_refused(
    kind: str, pair: tuple[str, str], data: Any, turned: bool, mark: str
) -> None:
    one, other = (data.draw(st.sampled_from(letters)) for letters in (reversed(pair) if turned else pair))
    words = problem_with(kind, one + mark + other)
    if kind == "username" and mark:
        assert words
        return
    assert f"U+{ord(one):04X}" in words
    assert f"U+{ord(other):04X}" in words


@pytest.mark.parametrize(
    "name",
    [
        "caf\u00e9-api",
        "\u6771\u4eacapi",
        "\u03bb-router",
        "\u00b5service",
        "\u043f\u043b\u0430\u0442\u0435\u0436\u0438 api",
    ],
)
@pytest.mark.parametrize("kind", ["service", "journey", "team", "path of a journey", "API key"])
def test_an_honest_name_is_taken(kind: str, name: str) -> None:
    assert problem_with(kind, name) == ""


@pytest.mark.parametrize(
    "name", ["ada", "j\u00f6rg", "\u0438\u0432\u0430\u043d", "ada.lovelace@example.org", "a+b_c-d"]
)
def test_an_honest_person_may_sign_in(name: str) -> None:
    assert problem_with("username", name) == ""


@pytest.mark.parametrize(
    "name", ["ada lovelace", "system: demo", "a/b", "\u201cada\u201d", "ada\u2010b", "\U0001f600", "a,b"]
)
def test_nobody_is_called_by_punctuation(name: str) -> None:
    assert "holds U+" in problem_with("username", name)


@wide
@given(st.text(seen | st.sampled_from(" \n\t\u00a0"), max_size=20))
def test_what_can_be_seen_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


@wide
@given(st.text(seen | unseen, max_size=20))
def test_what_cannot_be_seen_is_shown_as_its_code_point(text: str) -> None:
    shown = visible(text)
    assert not any(name_problem(character) for character in shown if not character.isspace())
    assert all(
        f"U+{ord(one):04X}" in shown for one in text if unicodedata.category(one) in {"Cf", "Zl", "Zp"}
    )


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<p>a\u202eb\u201d</p>", "<p>a\u27e8U+202E\u27e9b\u201d</p>"),
        (
            '<a href="/x" title="a\u200bb">a\u200bb</a>',
            '<a href="/x" title="a\u200bb">a\u27e8U+200B\u27e9b</a>',
        ),
        ('<input value="a\u200bb">', '<input value="a\u200bb">'),
        ("<textarea>a\u200bb</textarea>\u200b", "<textarea>a\u200bb</textarea>\u27e8U+200B\u27e9"),
        ("<script>'\u200b'</script><b>\u200b</b>", "<script>'\u200b'</script><b>\u27e8U+200B\u27e9</b>"),
    ],
)
def test_a_page_shows_it_and_sends_what_it_was_given(page: str, shown: str) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(page)

    request = RequestFactory().get("/")
    assert VisibleCharactersMiddleware(answer)(request).content.decode() == shown


def test_what_is_no_page_is_left_alone() -> None:
    response = HttpResponse("a\u202eb", content_type="text/csv")
    assert (
        VisibleCharactersMiddleware(lambda request: response)(RequestFactory().get("/")).content
        == "a\u202eb".encode()
    )


@pytest.mark.django_db
class TestWhatIsThere:
    """Names from before go on working, and are seen for what they are."""

    def test_a_service_is_read_changed_and_shown(self) -> None:
        Service.objects.create(service_id="pay\u202eipa")
        client = client_of("sre_admin")
        page = client.get(reverse("service", args=["pay\u202eipa"]))
        assert page.status_code == 200
        text = page.content.decode()
        assert "pay\u27e8U+202E\u27e9ipa" in text
        assert not re.search(r">[^<>]*\u202e", text)
        actor = Actor.person(User.objects.get(), AuditEntry.Source.WEB)
        dispatch("catalog.update_service", {"service_id": "pay\u202eipa", "criticality": "high"}, actor=actor)
        assert Service.objects.get().criticality == "high"

    @in_database
    @given(character=unseen.filter(lambda one: one != "\0"))
    def test_a_known_id_comes_again_and_a_new_one_does_not(self, character: str) -> None:
        if unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
            return  # no id could ever hold these
        old, new = f"old{character}id", f"new{character}id"
        Service.objects.get_or_create(service_id=old)
        self._sent(old)
        with pytest.raises(InvalidInput) as refusal:
            self._sent(new)
        assert f"U+{ord(character):04X}" in refusal.value.fields[0].message
        assert not Service.objects.filter(service_id=new).exists()

    @staticmethod
    def _sent(service_id: str) -> None:
        from django.utils import timezone

        upsert_graph([{"service_id": service_id}], [], discovery_source="manual", observed_at=timezone.now())

    def test_a_new_team_is_not_made_by_the_back_door(self) -> None:
        from django.utils import timezone

        row = {"service_id": "pay", "team": "sh\u200bop"}
        with pytest.raises(InvalidInput) as refusal:
            upsert_graph([row], [], discovery_source="manual", observed_at=timezone.now())
        assert "U+200B ZERO WIDTH SPACE" in refusal.value.fields[0].message
        assert not Team.objects.exists()
        Team.objects.create(name="sh\u200bop")
        upsert_graph([row], [], discovery_source="manual", observed_at=timezone.now())
        assert Service.objects.get().team == Team.objects.get()


@pytest.mark.django_db
@pytest.mark.parametrize("other", ["ADA", "\u0430d\u0430", "\uff41da", "a.d.a"])
def test_nobody_new_looks_like_somebody(other: str) -> None:
    User.objects.create_user("ada", role="sre_admin")
    actor = Actor.person(User.objects.get(), AuditEntry.Source.WEB)
    if other == "a.d.a":
        dispatch("accounts.create_user", {"username": other}, actor=actor)
        return
    with pytest.raises((Conflict, InvalidInput)):
        dispatch("accounts.create_user", {"username": other}, actor=actor)
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pay", "\u0440\u0430\u0443"),
        ("HOME", "\u041d\u041e\u041c\u0415"),
        ("coop", "\u0441\u043e\u043e\u0440"),
        ("kappa", "\u03ba\u03b1\u03c1\u03c1\u03b1"),
    ],
)
def test_a_whole_word_in_another_alphabet_looks_like_it(one: str, other: str) -> None:
    assert look_of(one) == look_of(other)
    assert name_problem(other) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p\u0430yments", "U+0430 CYRILLIC SMALL LETTER A"),
        ("p\u0430yments", "letters of two alphabets that look alike; write the word in one"),
        ("pay\u202ements", "U+202E RIGHT-TO-LEFT OVERRIDE, which cannot be seen as what it is; leave it out"),
    ],
)
def test_what_is_wrong_with_a_name_is_said_with_what_to_do(name: str, words: str) -> None:
    assert words in name_problem(name)
