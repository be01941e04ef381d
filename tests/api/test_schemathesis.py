"""Whatever fits the OpenAPI document is answered as the document says, and what does not fit is refused.

The examples are drawn from a fixed seed, a few for each operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from console.api import api
from console.wsgi import application
from tests.api.conftest import key_for

EXAMPLES = 6
# How Pydantic speaks; what the API says is in plain words. Examples are drawn from the constants of loaded modules too,
# and so may ask for a service of such a name, which the answer then repeats.
LIBRARY_WORDS = re.compile(r"Input should|String should|List should|Field required|Extra inputs|Value error")
# Rows of a graph and paths of a journey have rules among each other that no schema can say: every service that is
# named exists once, nothing depends on itself. Here alone may what fits its schema be refused as invalid.
RULES_AMONG_ROWS = ("/actions/catalog.", "/actions/journeys.", "POST /api/v1/services/dependencies")
OPERATIONS = sorted(
    f"{method.upper()} {path}"
    for path, methods in api.get_openapi_schema()["paths"].items()
    for method in methods
)


@pytest.fixture
def key(db: None, settings: Any) -> str:
    """An SRE admin's key; there are another admin, so that nobody is the last one, and two services."""
    settings.API_RATE_PER_MINUTE, settings.API_RATE_BURST = 10**7, 10**6
    User.objects.create_user("grace", role="sre_admin")
    team = Team.objects.create(name="payments")
    for service_id in ("payments-api", "shop/checkout"):
        Service.objects.create(service_id=service_id, team=team)
    return key_for(User.objects.create_user("ada", role="sre_admin"))


@pytest.fixture(scope="module")
def one_connection() -> Iterator[None]:
    """Requests leave the test's connection, and with it its transaction, open."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture(scope="module", autouse=True)
def one_strategy_for_each_pattern() -> Iterator[None]:
    """Patterns of service ids have 3,000 characters, and a strategy of one is a second's work, which Hypothesis repeats
    for each filter on it. What is deferred is worked out once.
    """
    made = st.from_regex

    @cache
    def from_regex(*args: Any, **kwargs: Any) -> st.SearchStrategy[Any]:
        return st.deferred(lambda: made(*args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "from_regex", from_regex)
        yield


def load() -> Any:
    """The document as schemathesis reads it from the running application."""
    loaded = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    loaded.config.generation.update(allow_x00=False)  # no text of the API holds a NUL; docs/api.md says so
    return loaded


@pytest.fixture(scope="module")
def documents(one_connection: None) -> dict[bool, Any]:
    """The document, by whether rules among rows may make a 422 of what fits its schema."""
    lenient = load()
    lenient.config.checks.positive_data_acceptance.expected_statuses += ["422"]
    return {False: load(), True: lenient}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_api_keeps_to_its_document(
    documents: dict[bool, Any], key: str, label: str, mode: GenerationMode
) -> None:
    has_rules = any(part in label for part in RULES_AMONG_ROWS)
    operation = documents[has_rules].find_operation_by_label(label)

    @given(case=operation.as_strategy(generation_mode=mode))
    @examples(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers_as_documented(case: Any) -> None:
        answer = case.call_and_validate(headers={"X-API-Key": key})
        if answer.status_code == 422:
            asked = unquote_plus(f"{answer.request.url} {answer.request.body!r}")
            own_words = [words for words in LIBRARY_WORDS.findall(answer.text) if words not in asked]
            assert own_words == [], answer.text

    try:
        answers_as_documented()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing fits what the document says"
