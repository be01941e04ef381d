"""SLOs over the API: the paths, parameters and answers that programs rely on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.slos import computation
from apps.slos.documents.assembled import part
from apps.slos.making import compute as computing
from apps.slos.models import ActiveSlo, Recommendation, SliType
from apps.slos.objectives import status
from apps.slos.schemas import RecommendationOut
from tests.slos.conftest import (
    compute,
    current,
    full_hour,
    make_calls,
    make_edge,
    make_hours,
    make_latency,
    make_service,
    make_user,
    settle,
    steady,
)

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "recommendation-format.md"
ODD = "Pet/Adoption_AWS::ApiGateway::Stage ~1 ü"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def api(shop: Team) -> Client:
    return client_of(make_user("olga", "service_owner", shop))


@pytest.fixture
def odd(shop: Team) -> Service:
    service = make_service(ODD, team=shop)
    make_hours(service, days=35)
    compute(service)
    return service


def path(service: Service, tail: str) -> str:
    return f"/api/v1/services/{quote(service.service_id, safe='/')}/{tail}"


def post(client: Client, address: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(address, body, content_type="application/json", headers=headers)


def test_it_gives_the_recommendation_of_a_service_with_any_name(api: Client, odd: Service) -> None:
    answer = api.get(path(odd, "slo-recommendations"))
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["service_id"] == ODD
    assert (body["is_stale"], body["window_days"]) == (False, 28)
    part = body["recommendations"]["availability"]
    assert part["id"] == str(current(odd).pk)
    assert set(part["tiers"]) == {"conservative", "balanced", "aggressive"}
    assert 0 < part["tiers"]["balanced"]["target"] < 1
    assert part["composite"]["point"] is not None
    assert body["explanation"]["attribution"]


def test_it_gives_every_field_of_the_engines_document(api: Client, shop: Team) -> None:
    checkout, database = make_service("checkout", team=shop), make_service("payments-db", team=shop)
    make_edge(checkout, database, retry_config={"max_retries": 2})
    for service in (checkout, database):
        make_latency(service, end=make_hours(service))
    as_of = full_hour()
    make_calls(checkout, database, end=as_of, days=40, per_hour=5_000, fails=steady(0.001))
    [document] = computing.documents([(as_of, [checkout])])
    computing.store(
        [document],
        computed_from=timezone.now(),
        actor=Actor.system("tests"),
        rationale="made by a test",
    )
    body = api.get(path(checkout, "slo-recommendations")).json()
    assert document["availability"]["regime"]
    assert document["latency"]["p95_ms"]["regime"]
    assert document["availability"]["composite"]["dependencies"]
    parts = {sli_type: part(document, sli_type) for sli_type in SliType.values}
    shown = {
        sli_type: {name: body["recommendations"][sli_type].get(name, "not shown") for name in found}
        for sli_type, found in parts.items()
    }
    assert shown == parts
    rest = {name: found for name, found in document.items() if name not in ("availability", "latency")}
    assert {name: body.get(name, "not shown") for name in rest} == rest


def test_what_another_version_stored_comes_back_as_it_is(api: Client, odd: Service) -> None:
    stored = current(odd)
    del stored.document["tiers"]["balanced"]["backtest"]
    stored.document["tiers"]["balanced"]["target"] = 1
    stored.document["composite"]["added_later"] = [None, "text"]
    stored.save(update_fields=["document"])
    shown = api.get(path(odd, "slo-recommendations")).json()["recommendations"]["availability"]
    assert (shown["tiers"], shown["composite"]) == (stored.document["tiers"], stored.document["composite"])
    assert str(shown["tiers"]["balanced"]["target"]) == "1", "a whole number stays one"


@pytest.mark.parametrize("heading", ["availability", "latency"])
def test_it_has_a_place_for_every_field_that_the_format_names(heading: str) -> None:
    text = FORMAT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table[0], re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert {"verdict", "reason", "tiers", "regime"} <= named
    assert named <= set(RecommendationOut.model_fields)


def test_it_keeps_to_one_sli(api: Client, checkout: Service) -> None:
    for asked, kept in (
        ("availability", {"availability"}),
        ("latency", {"latency_p95", "latency_p99"}),
        ("latency_p99", {"latency_p99"}),
    ):
        body = api.get(path(checkout, "slo-recommendations"), {"sli_type": asked}).json()
        assert set(body["recommendations"]) == kept
    assert api.get(path(checkout, "slo-recommendations"), {"sli_type": "speed"}).status_code == 422


def test_it_answers_503_with_retry_after_where_nothing_was_made_yet(
    api: Client, shop: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computation.request_computation, "__kwdefaults__", {"deadline_seconds": 0.2})
    answer = api.get(path(make_service("new", team=shop), "slo-recommendations"))
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert answer["Content-Type"].startswith("application/problem+json")


def test_it_regenerates_when_forced_and_only_for_those_who_may(
    transactional_db: None, live_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team.objects.create(name="shop")
    service = make_service("checkout", team=team)
    make_hours(service, days=35)
    compute(service)
    old = str(current(service).pk)
    viewer = client_of(make_user("vera", "viewer"))
    assert viewer.get(path(service, "slo-recommendations"), {"force_regenerate": "true"}).status_code == 403
    waited = computation.wait_for

    def relayed(ticket: str) -> Any:
        settle(live_worker)
        return waited(ticket)

    monkeypatch.setattr(computation, "wait_for", relayed)
    owner = client_of(make_user("olga", "service_owner", team))
    body = owner.get(path(service, "slo-recommendations"), {"force_regenerate": "true"}).json()
    assert not body["is_stale"]
    assert body["recommendations"]["availability"]["id"] not in (old, None)


def test_accept_makes_the_slo(api: Client, checkout: Service) -> None:
    answer = post(
        api,
        path(checkout, "slos"),
        {"action": "accept", "selected_tier": "balanced", "recommendation_id": str(current(checkout).pk)},
    )
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["slo"]["tier"] == "balanced"
    assert body["previous"] is None
    assert body["change"][0]["before"] == "none"
    assert body["recommendation"]["status"] == "accepted"
    assert ActiveSlo.objects.get().tier == "balanced"


def test_a_decision_right_after_another_is_a_conflict_that_says_what_comes_next(
    api: Client, checkout: Service
) -> None:
    body = {"action": "accept", "selected_tier": "balanced"}
    assert post(api, path(checkout, "slos"), body).status_code == 200
    second = post(api, path(checkout, "slos"), {**body, "selected_tier": "conservative"})
    assert second.status_code == 409, second.content
    assert second.json()["detail"] == (
        f"The availability recommendation for {checkout.service_id} was accepted by olga. "
        "The next one is being made; get it, then decide on that."
    )
    assert {row["label"] for row in second.json()["difference"]} >= {"SLO", "Decided by"}
    assert ActiveSlo.objects.count() == 1


def test_a_decision_without_any_recommendation_is_not_found(api: Client, shop: Team) -> None:
    body = {"action": "accept", "selected_tier": "balanced"}
    answer = post(api, path(make_service("new", team=shop), "slos"), body)
    assert answer.status_code == 404
    assert "no availability recommendation yet" in answer.json()["detail"]


def test_a_decision_sent_again_with_its_key_has_its_effect_once(api: Client, checkout: Service) -> None:
    body = {"action": "accept", "selected_tier": "balanced"}
    first = post(api, path(checkout, "slos"), body, **{"Idempotency-Key": "once"})
    again = post(api, path(checkout, "slos"), body, **{"Idempotency-Key": "once"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert again["Idempotency-Replayed"] == "true"


def test_modify_takes_a_ratio_and_refuses_a_percent(api: Client, checkout: Service) -> None:
    body = {"action": "modify", "rationale": "contract", "selected_tier": "balanced"}
    answer = post(api, path(checkout, "slos"), {**body, "modifications": {"availability_target": 99.95}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "modifications.availability_target"
    assert "write 0.9995 for 99.95 %" in answer.json()["errors"][0]["message"]
    answer = post(api, path(checkout, "slos"), {**body, "modifications": {"availability_target": 0.9985}})
    assert answer.json()["slo"]["target"] == 0.9985
    assert answer.json()["slo"]["source"] == "modified"


def test_modify_takes_one_sli_at_a_time(api: Client, checkout: Service) -> None:
    body = {"action": "modify", "rationale": "contract", "sli_type": "latency_p95"}
    answer = post(api, path(checkout, "slos"), {**body, "modifications": {"latency_p95_target_ms": 450}})
    assert answer.json()["slo"]["threshold_ms"] == 450
    answer = post(
        api,
        path(checkout, "slos"),
        {**body, "modifications": {"latency_p95_target_ms": 450, "availability_target": 0.99}},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "modifications.availability_target"


@pytest.mark.parametrize(
    ("body", "path_of_fault"),
    [
        ({"action": "accept"}, "selected_tier"),
        ({"action": "modify", "rationale": "x"}, "modifications.availability_target"),
        ({"action": "modify", "modifications": {"availability_target": 0.99}}, "rationale"),
        ({"action": "modify", "rationale": "x", "modifications": {"availability_target": 1}}, None),
        ({"action": "modify", "rationale": "x", "modifications": {"availability": 0.9}}, None),
        ({"action": "reject"}, "rationale"),
        (
            {"action": "reject", "rationale": "x", "modifications": {"availability_target": 0.9}},
            "modifications",
        ),
        ({"action": "approve"}, "action"),
        ({"action": "accept", "selected_tier": "balanced", "expected_version": -1}, "expected_version"),
    ],
)
def test_it_names_the_field_at_fault(
    api: Client, checkout: Service, body: dict[str, Any], path_of_fault: str | None
) -> None:
    answer = post(api, path(checkout, "slos"), body)
    assert answer.status_code == 422
    if path_of_fault:
        assert path_of_fault in [error["path"] for error in answer.json()["errors"]]
    assert not ActiveSlo.objects.exists()


def test_reject_closes_the_recommendation(api: Client, checkout: Service) -> None:
    answer = post(api, path(checkout, "slos"), {"action": "reject", "rationale": "A migration is under way."})
    assert answer.json()["recommendation"]["status"] == "rejected"
    assert answer.json()["slo"] is None


def test_a_conflict_carries_the_difference(api: Client, checkout: Service) -> None:
    stale = str(current(checkout).pk)
    compute(checkout)
    answer = post(
        api,
        path(checkout, "slos"),
        {"action": "accept", "selected_tier": "balanced", "recommendation_id": stale},
    )
    assert answer.status_code == 409
    assert {row["label"] for row in answer.json()["difference"]} >= {"Recommendation you saw", "Data up to"}


def test_the_same_idempotency_key_gives_the_same_answer(api: Client, checkout: Service) -> None:
    body = {"action": "accept", "selected_tier": "balanced", "recommendation_id": str(current(checkout).pk)}
    first = post(api, path(checkout, "slos"), body, **{"Idempotency-Key": "k-1"})
    second = post(api, path(checkout, "slos"), body, **{"Idempotency-Key": "k-1"})
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert ActiveSlo.objects.count() == 1


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_only_reads_sees_and_cannot_decide(checkout: Service, shop: Team, role: str) -> None:
    client = client_of(make_user("rita", role, shop))
    assert client.get(path(checkout, "slo-recommendations")).status_code == 200
    assert client.get(path(checkout, "slos")).status_code == 200
    answer = post(client, path(checkout, "slos"), {"action": "accept", "selected_tier": "balanced"})
    assert answer.status_code == 403
    assert "owner of the service" in answer.json()["detail"]


def test_nobody_unknown_is_let_in(checkout: Service) -> None:
    assert Client().get(path(checkout, "slo-recommendations")).status_code == 401
    assert post(Client(), "/api/v1/slos/impact-analysis", {}).status_code == 401


def test_a_service_that_is_not_there_is_404(api: Client, shop: Team) -> None:
    ghost = Service(service_id="ghost")
    assert api.get(path(ghost, "slo-recommendations")).status_code == 404
    assert api.get(path(ghost, "slos")).status_code == 404
    assert post(api, path(ghost, "slos"), {"action": "accept"}).status_code == 404
    empty = make_service("empty", team=shop)
    answer = post(api, path(empty, "slos"), {"action": "accept", "selected_tier": "balanced"})
    assert answer.status_code == 404


def test_slos_of_a_service_come_with_budget_and_history(api: Client, checkout: Service) -> None:
    post(api, path(checkout, "slos"), {"action": "accept", "selected_tier": "conservative"})
    compute(checkout)
    post(
        api, path(checkout, "slos"), {"action": "accept", "selected_tier": "balanced", "expected_version": 1}
    )
    status.refresh()
    body = api.get(path(checkout, "slos")).json()
    assert body["active"]["availability"]["version"] == 2
    assert [slo["version"] for slo in body["history"]] == [2, 1]
    assert body["history"][1]["ended_at"] is not None
    assert body["status"]["target"] == body["active"]["availability"]["target"]
    [budget] = body["budgets"]
    assert budget["left"] == pytest.approx(body["status"]["budget_left"])
    assert len(budget["days"]) in (28, 29)


def test_a_service_is_given_no_slo_of_another(api: Client, checkout: Service, shop: Team) -> None:
    post(api, path(checkout, "slos"), {"action": "accept", "selected_tier": "balanced"})
    ledger = make_service("ledger", team=shop)
    assert api.get(path(ledger, "slos")).json()["active"] == {}
    make_hours(ledger, days=35)
    compute(ledger)
    assert api.get(path(checkout, "slos")).json()["active"].keys() == {"availability"}
    assert api.get(path(ledger, "slos")).json()["active"] == {}


def test_impact_analysis_names_the_broken_slo(api: Client, checkout: Service, shop: Team) -> None:
    web = make_service("web", team=shop)
    make_edge(web, checkout)
    make_hours(web, days=35, fails=steady(0.0006))
    compute(web)
    status.refresh()
    post(
        api,
        "/api/v1/actions/slos.set",
        {"service_id": "web", "sli_type": "availability", "target": 0.999, "rationale": "contract"},
    )
    body = {"service_id": "checkout", "sli_type": "availability", "proposed_target": 0.99}
    answer = post(api, "/api/v1/slos/impact-analysis", body)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["affected_count"], found["broken_count"]) == (1, 1)
    assert (found["depth"], found["not_looked_at"]) == (1, None)
    [effect] = found["affected"]
    assert effect["breaks"]
    assert effect["change"] < 0
    assert effect["after"] < effect["promised"] == 0.999
    make_edge(make_service("shelf", team=shop), web)
    near = post(api, "/api/v1/slos/impact-analysis", {**body, "depth": 1}).json()
    assert near["affected_count"] == 1
    assert near["not_looked_at"].startswith("Looked 1 call far: more services depend on this one")
    refused = post(api, "/api/v1/slos/impact-analysis", {**body, "proposed_target": 99.5})
    assert refused.status_code == 422
    assert "write 0.995 for 99.5 %" in refused.json()["errors"][0]["message"]
    assert not Recommendation.objects.filter(status="accepted").exists()


def test_slos_are_listed_page_by_page(api: Client, shop: Team) -> None:
    for name in ("a", "b", "c"):
        make_service(name, team=shop)
        post(
            api,
            "/api/v1/actions/slos.set",
            {"service_id": name, "sli_type": "availability", "target": 0.99, "rationale": "contract"},
        )
    first = api.get("/api/v1/slos", {"limit": 2}).json()
    assert [item["service_id"] for item in first["items"]] == ["a", "b"]
    second = api.get("/api/v1/slos", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["service_id"] for item in second["items"]] == ["c"]
    assert second["next_cursor"] is None
    assert api.get("/api/v1/slos", {"team": "nobody"}).json()["items"] == []
