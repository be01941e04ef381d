"""The catalog over HTTP, as a program sees it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.catalog.ingesting import ingestion
from apps.catalog.models import Ingestion
from tests.catalog.conftest import State, edges

ROOT = "/api/v1"


@pytest.fixture
def api(admin: User, client: Client) -> Client:
    client.force_login(admin)
    return client


def post(client: Client, body: object, **headers: str) -> Any:
    return client.post(
        f"{ROOT}/services/dependencies", json.dumps(body), content_type="application/json", headers=headers
    )


GRAPH = {
    "discovery_source": "manual",
    "services": [{"service_id": "web", "team": "shop"}],
    "dependencies": edges("web>pay"),
}


def test_a_graph_is_accepted_with_the_place_to_follow_it(api: Client) -> None:
    answer = post(api, GRAPH)
    assert answer.status_code == 202
    where = answer["Location"]
    assert where == answer.json()["status_url"]
    assert api.get(where).json()["state"] == "pending"
    ingestion.run(answer.json()["ingestion_id"])
    status = api.get(where).json()
    assert (status["state"], status["rows_done"], status["rows_total"]) == ("completed", 2, 2)
    assert status["summary"]["dependencies"]["created"] == 1
    assert (status["requested_by"], status["errors"], status["missing_parts"]) == ("sre", [], [])


def test_parts_that_are_missing_are_named(api: Client) -> None:
    first = post(api, {**GRAPH, "parts": 3, "part": 2}).json()
    assert api.get(first["status_url"]).json()["missing_parts"] == [1, 3]
    post(api, {"discovery_source": "manual", "ingestion_id": first["ingestion_id"], "part": 1})
    assert api.get(first["status_url"]).json()["missing_parts"] == [3]


def test_bad_rows_of_an_ingestion_are_named_in_its_status(api: Client) -> None:
    answer = post(api, {**GRAPH, "dependencies": edges("web>web", "a>b", "a>b")})
    ingestion.run(answer.json()["ingestion_id"])
    status = api.get(answer["Location"]).json()
    assert (status["state"], status["error_count"]) == ("failed", 2)
    assert [(row["part"], row["row"], row["path"]) for row in status["errors"]] == [
        (1, 1, "dependencies.0.target"),
        (1, 3, "dependencies.2.target"),
    ]


def test_fields_that_cannot_be_taken_are_a_problem_with_their_paths(api: Client) -> None:
    answer = post(api, {**GRAPH, "dependencies": [{"source": " a", "target": "b"}, {"source": "a"}]})
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert {error["path"] for error in answer.json()["errors"]} == {
        "dependencies.0.source",
        "dependencies.1.target",
    }
    assert not Ingestion.objects.exists()


def test_the_same_key_makes_one_ingestion(api: Client) -> None:
    keys = {"Idempotency-Key": "once"}
    assert post(api, GRAPH, **keys).json() == post(api, GRAPH, **keys).json()
    assert Ingestion.objects.count() == 1


def test_it_rejects_a_viewer(viewer: User, client: Client) -> None:
    client.force_login(viewer)
    assert post(client, GRAPH).status_code == 403
    assert not Ingestion.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["/services", "/cycles", "/services/a", "/services/a/dependencies", "/services/dependencies/ingestions/"],
)
def test_it_rejects_who_is_not_signed_in(client: Client, db: None, path: str) -> None:
    if path.endswith("ingestions/"):
        path += "01890000-0000-7000-8000-000000000000"
    assert client.get(ROOT + path).status_code == 401


def test_a_viewer_reads_everything(viewer: User, client: Client, state: State) -> None:
    state("a>b", "b>a")
    client.force_login(viewer)
    for path in ("/services", "/cycles", "/services/a", "/services/a/dependencies"):
        assert client.get(ROOT + path).status_code == 200


def test_services_are_listed_by_page_and_filter(api: Client, state: State) -> None:
    state(services=[{"service_id": f"s{n}", "team": "even" if n % 2 == 0 else "odd"} for n in range(5)])
    even: dict[str, str | int] = {"limit": 2, "team": "even"}
    first = api.get(f"{ROOT}/services", even).json()
    assert [item["service_id"] for item in first["items"]] == ["s0", "s2"]
    rest = api.get(f"{ROOT}/services", even | {"cursor": first["next_cursor"]}).json()
    assert ([item["service_id"] for item in rest["items"]], rest["next_cursor"]) == (["s4"], None)


@pytest.mark.parametrize(
    "service_id",
    [
        "169.254.170.2_remote",
        "PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage",
        "100%",
        "%2F",
        "a b?c#d",
        "☕/é",
        "dependencies",
        "slos",
    ],
)
def test_an_id_of_any_characters_is_the_rest_of_the_path(api: Client, state: State, service_id: str) -> None:
    said = {"service_id": service_id, "published_sla": 0.999}
    state(services=[said], dependencies=[{"source": service_id, "target": "z"}])
    path = f"{ROOT}/services/{quote(service_id)}"
    found = api.get(path)
    assert found.status_code == 200
    assert (found.json()["service_id"], found.json()["published_sla"]) == (service_id, 0.999)
    graph = api.get(f"{path}/dependencies").json()
    assert [node["service_id"] for node in graph["nodes"]] == [service_id, "z"]


def test_a_graph_goes_as_far_and_in_the_direction_asked(api: Client, state: State) -> None:
    state("a>b", "b>c", "c>d")

    def reached(**query: str | int) -> list[str]:
        answer = api.get(f"{ROOT}/services/b/dependencies", query).json()
        return [node["service_id"] for node in answer["nodes"]]

    assert reached() == ["b", "c", "d"]
    assert reached(depth=1) == ["b", "c"]
    assert reached(direction="upstream") == ["b", "a"]
    assert sorted(reached(direction="both")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("query", [{"depth": 0}, {"depth": 11}, {"direction": "sideways"}])
def test_a_graph_refuses_what_it_cannot_do(api: Client, state: State, query: dict[str, str | int]) -> None:
    state("a>b")
    answer = api.get(f"{ROOT}/services/a/dependencies", query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == next(iter(query))


def test_what_does_not_exist_is_not_found(api: Client) -> None:
    ingestion_path = "/services/dependencies/ingestions/01890000-0000-7000-8000-000000000000"
    for path in ("/services/no", "/services/no/dependencies", ingestion_path):
        assert api.get(ROOT + path).status_code == 404


def test_cycles_are_listed_with_their_path(api: Client, state: State) -> None:
    state("a>b", "b>a")
    (item,) = api.get(f"{ROOT}/cycles").json()["items"]
    assert (item["members"], item["path"], item["state"]) == (["a", "b"], ["a", "b"], "open")
    assert api.get(f"{ROOT}/cycles", {"state": "resolved"}).json()["items"] == []
    done = api.post(
        f"{ROOT}/actions/catalog.acknowledge_cycle",
        {"cycle_id": item["cycle_id"]},
        content_type="application/json",
    )
    assert done.status_code == 200
    (item,) = api.get(f"{ROOT}/cycles").json()["items"]
    assert (item["state"], item["acknowledged_by"]) == ("acknowledged", "sre")
