"""Whatever fits the OpenAPI document is answered as the document says, and what does not fit is refused.

The examples are drawn from a fixed seed, a few for each operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from console.api import api
from console.wsgi import application
from tests.api.conftest import key_for

EXAMPLES = 6
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


@pytest.fixture(scope="module")
def document(one_connection: None) -> Any:
    """The document as schemathesis reads it from the running application."""
    loaded = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    # A value may fit its schema and still name nothing that can be done: a foreign cursor, the last admin.
    loaded.config.checks.positive_data_acceptance.expected_statuses += ["422"]
    # Said on purpose, as where no Prometheus is set up.
    loaded.config.checks.not_a_server_error.expected_statuses += ["503"]
    loaded.config.generation.update(allow_x00=False)  # no text of the API holds a NUL; docs/api.md says so
    return loaded


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_api_keeps_to_its_document(document: Any, key: str, label: str, mode: GenerationMode) -> None:
    operation = document.find_operation_by_label(label)

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
        case.call_and_validate(headers={"X-API-Key": key})

    try:
        answers_as_documented()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing fits what the document says"
