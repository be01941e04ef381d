"""One word for one thing: models, actions, API fields, names and texts keep to docs/glossary.md."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django.test.utils import isolate_apps

from apps.core.actions import all_actions
from tests.house import glossary
from tests.house.glossary import ROOT, Avoided

PAGE = glossary.PAGE.read_text()
TERMS, VERBS, AVOIDED = glossary.terms(PAGE), glossary.verbs(PAGE), glossary.avoided(PAGE)
NAMES = [one for one in AVOIDED if one.where in {"everywhere", "names"}]
EVERYWHERE = [one for one in AVOIDED if one.where == "everywhere"]
IN_MODULES = [one for one in AVOIDED if one.where in {"everywhere", "names", "modules"}]

STEMS = re.compile("|".join(one.word.split()[0].removesuffix("e") for one in EVERYWHERE), re.IGNORECASE)
"""Text without any of these has no avoided word."""

KEPT_FIELDS = {"promised", "told"}
"""Fields of API v1 that keep their names for those who read them."""

NAME_EXCEPTIONS = {
    ("apps/slos/schemas.py", "promised"): "the field of API v1",
    ("apps/journeys/api.py", "told"): "the field of API v1",
    ("apps/journeys/documents.py", "told"): "the field of API v1",
    ("apps/journeys/pages/what_if_page.py", "told"): "the page draws the field of API v1",
    ("apps/accounts/queries.py", "last_login"): "a field of Django's user",
    ("apps/accounts/views/account.py", "LOGIN_REDIRECT_URL"): "a setting of Django",
    ("apps/accounts/views/signing_in.py", "login"): "a function of Django",
    ("apps/accounts/views/signing_in.py", "LoginView"): "a view of Django",
    ("apps/core/web/pages.py", "redirect_to_login"): "a function of Django",
    ("console/settings.py", "LOGIN_URL"): "a setting of Django",
    ("console/settings.py", "LOGIN_REDIRECT_URL"): "a setting of Django",
}

TEXT_EXCEPTIONS = {
    ("apps/slos/api.py", '"promised": effect.target'): "the field of API v1",
    ("apps/slos/schemas.py", "promised: float | None"): "the field of API v1",
    ("apps/slos/lists/recommendations.py", '_OLD_HAS_SLO = "promised"'): "addresses that people kept",
    (
        "apps/journeys/pages/what_if_start.py",
        '{"promise": "balanced", "-promise"',
    ): "addresses that people kept",
    ("apps/accounts/devices.py", '"login"'): "the name of the route that Django's LOGIN_URL asks for",
    ("apps/accounts/middleware.py", '"login"'): "the name of the route that Django's LOGIN_URL asks for",
    ("apps/accounts/urls.py", 'name="login"'): "the name of the route that Django's LOGIN_URL asks for",
    ("apps/accounts/queries.py", "last_login"): "a field of Django's user",
    ("apps/accounts/views/account.py", "LOGIN_REDIRECT_URL"): "a setting of Django",
    ("apps/accounts/views/signing_in.py", "import login"): "a function of Django",
    ("apps/accounts/views/signing_in.py", "login(request, user)"): "a function of Django",
    ("apps/accounts/views/signing_in.py", "LoginView"): "a view of Django",
    ("apps/core/web/pages.py", "redirect_to_login"): "a function of Django",
    ("console/settings.py", 'LOGIN_URL = "login"'): "a setting of Django",
    ("console/settings.py", "LOGIN_REDIRECT_URL"): "a setting of Django",
    ("console/settings.py", 'LOGOUT_REDIRECT_URL = "login"'): "a setting of Django",
    ("console/embedded/postgres.py", "LOGIN"): "an attribute of PostgreSQL's roles",
    ("templates/accounts/account.html", "last_login"): "a field of Django's user",
    ("templates/accounts/people.html", "last_login"): "a field of Django's user",
    ("templates/accounts/person.html", "last_login"): "a field of Django's user",
    ("docs/configuration.md", "a log in the data folder"): "a log, which lies in the folder",
    ("docs/evaluation/real-histories.md", "uptime"): "names of other people's repositories",
}


def test_every_model_is_a_term() -> None:
    assert glossary.without_term(glossary.concrete_models(apps), TERMS) == []


def test_a_model_without_a_term_is_named() -> None:
    with isolate_apps("apps.ui") as registry:
        assert registry is not None
        made: dict[str, Any] = {"__module__": "apps.ui.models"}
        for name, is_abstract in {"ChangeFreeze": False, "Lease": False, "Template": True}.items():
            meta = type("Meta", (), {"app_label": "ui", "abstract": is_abstract})
            type(name, (models.Model,), {**made, "Meta": meta})
        found = glossary.concrete_models(registry)
    assert {model.__name__ for model in found} == {"ChangeFreeze", "Lease"}
    assert glossary.without_term(found, TERMS) == ["ChangeFreeze"]
    assert glossary.without_term(found, TERMS | {"change freeze"}) == []


def test_every_action_is_named_with_verbs_and_terms() -> None:
    actions = [action.name for action in all_actions() if type(action).__module__.startswith("apps.")]
    assert actions
    assert {name: found for name in actions if (found := glossary.unknown_words(name, TERMS, VERBS))} == {}


@pytest.mark.parametrize(
    ("action", "unknown"),
    [
        ("core.retry_run", []),
        ("accounts.sign_ins_counted", []),
        ("telemetry.store_families", []),
        ("core.frobnicate_run", ["frobnicate"]),
        ("core.retry_gizmo", ["gizmo"]),
    ],
)
def test_a_word_of_an_action_that_the_glossary_lacks_is_named(action: str, unknown: list[str]) -> None:
    assert glossary.unknown_words(action, TERMS, VERBS) == unknown


def test_every_verb_is_used() -> None:
    used = {word for action in all_actions() for word in glossary.words_of(action.name)}
    assert {
        verb for verb in VERBS if not any(word.startswith(verb.removesuffix("e")) for word in used)
    } == set()


def test_no_model_or_field_has_an_avoided_word() -> None:
    own = glossary.concrete_models(apps)
    names = {model.__name__ for model in own}
    names |= {field.name for model in own for field in model._meta.local_fields}
    assert avoided_in(names - {"last_login"}) == []  # A field of Django's user.


def test_no_action_has_an_avoided_word() -> None:
    assert avoided_in({action.name for action in all_actions()}) == []


def test_no_field_of_the_api_has_an_avoided_word_but_the_two_that_are_kept(client: Client) -> None:
    found = set(fields_of(client.get("/api/v1/openapi.json").json()))
    assert found >= KEPT_FIELDS
    assert avoided_in(found - KEPT_FIELDS) == []
    assert all(f"`{name}`" in PAGE for name in KEPT_FIELDS)


def fields_of(node: Any) -> list[str]:
    """List the names of properties and parameters anywhere in an OpenAPI document."""
    if isinstance(node, list):
        return [name for one in node for name in fields_of(one)]
    if not isinstance(node, dict):
        return []
    properties = node.get("properties")
    own = list(properties) if isinstance(properties, dict) else []
    if isinstance(node.get("in"), str) and isinstance(node.get("name"), str):
        own.append(node["name"])
    return own + [name for one in node.values() for name in fields_of(one)]


def avoided_in(names: set[str]) -> list[str]:
    return glossary.avoided_in(names, NAMES)


def test_no_module_has_an_avoided_name() -> None:
    parts = {part for module in glossary.modules() for part in module.split("/")}
    assert sorted(part for part in parts if any(is_called(part, one) for one in IN_MODULES)) == []


def is_called(part: str, one: Avoided) -> bool:
    return part == one.word if one.where == "modules" else one.in_name(part)


def test_no_name_in_the_code_is_an_avoided_word() -> None:
    files: defaultdict[str, set[str]] = defaultdict(set)
    for path in glossary.sources():
        for name in glossary.names_in(path.read_text()):
            files[name].add(str(path.relative_to(ROOT)))
    found = {(file, name) for name in avoided_in(set(files)) for file in files[name]}
    assert sorted(found - NAME_EXCEPTIONS.keys()) == []
    assert sorted(NAME_EXCEPTIONS.keys() - found) == []  # An exception that nothing needs goes.


def test_no_text_has_an_avoided_word() -> None:
    used: Counter[tuple[str, str]] = Counter()
    found = []
    for path in glossary.texts():
        name = str(path.relative_to(ROOT))
        excepted = [text for file, text in TEXT_EXCEPTIONS if file == name]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not STEMS.search(line):
                continue
            rest = line
            for exception in excepted:
                used[name, exception] += rest.count(exception)
                rest = rest.replace(exception, "")
            found += [f"{name}:{number}: {one.word}" for one in EVERYWHERE if one.in_text().search(rest)]
    assert found == []
    assert [key for key in TEXT_EXCEPTIONS if not used[key]] == []  # An exception that nothing needs goes.


@pytest.mark.parametrize("word", [one.word for one in EVERYWHERE])
def test_an_avoided_word_is_seen_in_any_case_and_inside_a_name(word: str) -> None:
    one = Avoided(word, "everywhere")
    text = f"It {word}s what {word.upper()} is."
    assert len(one.in_text().findall(text)) == (2 if " " not in word else 1)
    assert one.in_name(f"{word.replace(' ', '_')}_page")
    assert one.in_name("Old" + "".join(part.capitalize() for part in word.split()))
    assert not one.in_name("sign_in_page")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("It promised 99 %.", "promise"),
        ("promising", "promise"),
        ("You are logged in.", "log in"),
        ("log-in", "log in"),
        ("whitelisted", "whitelist"),
    ],
)
def test_an_avoided_word_is_seen_inflected(text: str, word: str) -> None:
    assert Avoided(word, "everywhere").in_text().search(text)


@pytest.mark.parametrize(
    ("text", "word"), [("a compromise", "promise"), ("postmaster", "master"), ("a log", "log in")]
)
def test_a_word_that_only_looks_like_an_avoided_one_is_left_alone(text: str, word: str) -> None:
    assert not Avoided(word, "everywhere").in_text().search(text)


def test_the_glossary_is_read_whole() -> None:
    assert {"sli hour", "sign in", "active slo", "api key"} <= TERMS
    assert {"promise", "told", "log in", "uptime", "error"} <= {one.word for one in AVOIDED}
    assert {one.where for one in AVOIDED} == {"everywhere", "names", "modules", "by reading"}
    assert not [line for line in PAGE.splitlines() if re.match(r"\| \*\*", line) and not line.endswith(" |")]
