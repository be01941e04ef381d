"""The OpenAPI document is valid and tells of every endpoint what can come back."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from django.test import Client

from apps.core.actions import offered_actions


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    response = client.get("/api/v1/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas
    for name, schema in schemas.items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in set(references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_parts_of_a_recommendation_are_described_to_the_last_field(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    part, whole = schemas["RecommendationOut"]["properties"], schemas["RecommendationsOut"]["properties"]
    for name, found in (("composite", part), ("data_quality", whole), ("explanation", whole)):
        (described,) = [one["$ref"] for one in found[name]["anyOf"] if "$ref" in one]
        assert schemas[described.rpartition("/")[2]]["properties"]
    (tiers,) = [one for one in part["tiers"]["anyOf"] if one["type"] == "object"]
    kinds = [one["$ref"].rpartition("/")[2] for one in tiers["additionalProperties"]["anyOf"]]
    assert all("breach_probability" in schemas[kind]["properties"] for kind in kinds)


def test_no_two_operations_share_an_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_action_has_an_operation_of_its_own(document: dict[str, Any]) -> None:
    for action in offered_actions():
        for path in (f"/api/v1/actions/{action.name}", f"/api/v1/actions/{action.name}/preview"):
            assert "post" in document["paths"][path]


def test_every_operation_names_its_problems_and_who_may_ask(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert {"400", "422", "429", "500", "503"} <= set(operation["responses"]), path
            assert path.startswith("/api/v1/health") or operation["security"], path


def test_the_reference_page_runs_under_the_consoles_own_policy(client: Client) -> None:
    response = client.get("/api/v1/docs")
    assert response.status_code == 200
    page = response.content.decode()
    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page
    assert "script-src 'self'" in response["Content-Security-Policy"]
    # Data is no script; everything that runs comes from a file.
    for script in page.split("<script")[1:]:
        assert 'type="application/json"' in script or "src=" in script.split(">")[0]


def test_a_problem_is_told_in_the_form_that_the_document_gives(document: dict[str, Any]) -> None:
    assert document["components"]["responses"]
    for response in document["components"]["responses"].values():
        (content,) = response["content"].items()
        assert content == ("application/problem+json", {"schema": {"$ref": "#/components/schemas/Problem"}})
