"""Storing metric families: what they lie over, who hears of it, and that nobody's work is overwritten unseen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput
from apps.core.models import AuditEntry, OutboxEvent
from apps.telemetry import sources
from apps.telemetry.clients.prometheus.families import load_config
from apps.telemetry.models import FamilySet
from tests.telemetry.large_server import LargeServer
from tests.telemetry.prometheus_server import error, serving

pytestmark = pytest.mark.django_db

ORDERS = {
    "service_label": "app",
    "total": {"metric": "orders_total"},
    "bad": [{"metric": "orders_failed_total"}],
}


def person() -> Actor:
    user, _ = User.objects.get_or_create(username="admin", defaults={"role": "sre_admin"})
    return Actor.person(user, AuditEntry.Source.WEB)


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> Iterator[None]:
    settings.PROMETHEUS_URL = ""
    sources.telemetry_config.cache_clear()
    yield
    sources.telemetry_config.cache_clear()


def store(*families: tuple[str, dict[str, Any]], **more: Any) -> int:
    version = FamilySet.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    data = {
        "families": [{"name": name, "family": family} for name, family in families],
        "version": version,
    } | more
    return int(dispatch("telemetry.store_families", data, actor=person()).value["version"])


def test_they_are_tried_before_the_others_without_a_restart() -> None:
    before = sources.telemetry_config()
    store(("orders", ORDERS))
    config = sources.telemetry_config()
    assert config.order == ("orders", *before.order)
    assert config.families["orders"].service_label == "app"


def test_one_of_a_built_in_name_replaces_it() -> None:
    store(("http", ORDERS))
    config = sources.telemetry_config()
    assert config.order[0] == "http"
    assert config.order.count("http") == 1
    assert config.families["http"].total.metric == "orders_total"  # type: ignore[union-attr]


def test_stored_families_lie_over_the_file_and_the_file_over_the_presets(
    tmp_path: Path, settings: Settings
) -> None:
    settings.CONFIG_FILE = tmp_path / "ballast.toml"
    settings.CONFIG_FILE.write_text(
        '[telemetry.families.http]\nlike = "http-job"\n[telemetry.families.orders]\nlike = "grpc-job"\n'
    )
    sources.telemetry_config.cache_clear()
    assert sources.telemetry_config().families["http"].service_label == "job"
    store(("orders", ORDERS))
    config = sources.telemetry_config()
    assert config.families["http"].service_label == "job"
    assert config.families["orders"].service_label == "app"


def test_an_order_says_what_is_tried_and_nothing_else_is() -> None:
    store(("orders", ORDERS), order=["http", "orders"])
    assert sources.telemetry_config().order == ("http", "orders")


def test_the_order_of_families_is_kept() -> None:
    names = ["zebra", "a", "middle", "b"]
    store(*((name, ORDERS) for name in names))
    assert list(sources.telemetry_config().order[:4]) == names


def test_taking_all_away_leaves_what_was_there_before() -> None:
    before = sources.telemetry_config()
    store(("orders", ORDERS))
    store()
    assert sources.telemetry_config() == before


def test_it_is_audited_and_told() -> None:
    store(("orders", ORDERS))
    version = store(("orders", {**ORDERS, "service_label": "svc"}), ("more", ORDERS))
    entry = AuditEntry.objects.filter(action="telemetry.store_families").order_by("pk").last()
    assert entry is not None
    assert entry.before
    assert entry.after
    assert entry.before["families"][0]["family"]["service_label"] == "app"
    assert [one["name"] for one in entry.after["families"]] == ["orders", "more"]
    assert OutboxEvent.objects.filter(
        topic="telemetry.families_stored", payload={"version": version}
    ).exists()
    assert FamilySet.objects.count() == 2


def test_what_somebody_else_stored_meanwhile_is_not_overwritten() -> None:
    store(("orders", ORDERS))
    with pytest.raises(Conflict, match="Somebody has stored other families") as caught:
        store(("mine", ORDERS), version=0)
    labels = {one["label"] for one in caught.value.extra["difference"]}
    assert labels == {"orders", "mine"}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"families": [{"name": "a b", "family": ORDERS}]}, "families.0.name"),
        ({"families": [{"name": "x", "family": {"service_label": "app"}}]}, "families.0.family"),
        ({"families": [{"name": "x", "family": {**ORDERS, "colour": "red"}}]}, "families.0.family.colour"),
        ({"families": [{"name": "x", "family": ORDERS}] * 2}, "body"),
        ({"families": [], "order": ["nobody"]}, "order"),
    ],
)
def test_it_names_what_is_wrong(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        dispatch("telemetry.store_families", data, actor=person())
    assert caught.value.fields[0].path == field


@pytest.mark.parametrize(
    "matcher", ["a=\0", "a=~5(", "a=~[a", "a=~(?!b).*", "a!~(?<=b)c", r"a=~(.)\1", "a=~*"]
)
def test_a_matcher_that_no_server_takes_is_refused(matcher: str) -> None:
    family = {**ORDERS, "where": [matcher]}
    with pytest.raises(InvalidInput) as caught:
        store(("x", family))
    assert caught.value.fields[0].path == "families.0.family.where.0"


@pytest.mark.parametrize(
    "pattern", [r"(?i)prod|", r"(?P<one>a)", r"\Q(\E", r"[(?!]+", r"\(\?!", r"\\1", r"\pL+", "[[:alpha:]]"]
)
def test_what_only_prometheus_knows_is_taken(pattern: str) -> None:
    store(("x", {**ORDERS, "where": [f"a=~{pattern}"]}))
    assert sources.telemetry_config().families["x"].where == (f"a=~{pattern}",)


def test_the_preview_tells_what_the_server_refuses(settings: Settings) -> None:
    refusal = error(400, "bad_data", "invalid parameter: error parsing regexp")
    with serving(LargeServer({"orders_total": 10}, refuse={"orders_total": refusal})) as server:
        settings.PROMETHEUS_URL = server.url
        data = {"families": [{"name": "orders", "family": {**ORDERS, "where": ["a=~x"]}}]}
        shown = preview("telemetry.store_families", data, actor=person())
    assert "error parsing regexp" in shown.warnings[0]


def test_the_preview_tells_what_changes_and_which_services_it_touches(settings: Settings) -> None:
    Service.objects.create(service_id="basket")
    labels = {"orders_total": {"app": ["basket", "payment"]}}
    with serving(LargeServer({"orders_total": 10}, labels)) as server:
        settings.PROMETHEUS_URL = server.url
        shown = preview(
            "telemetry.store_families", {"families": [{"name": "orders", "family": ORDERS}]}, actor=person()
        )
    assert "1 new" in shown.summary
    assert "orders_total" in shown.changes[0].after
    assert [(touch.count, list(touch.names)) for touch in shown.touches] == [
        (1, ["basket"]),
        (1, ["payment"]),
    ]
    assert not FamilySet.objects.exists()


def test_what_an_upgrade_made_unusable_keeps_nobody_from_reading() -> None:
    FamilySet.objects.create(families=[{"name": "x", "family": {"colour": "red"}}], made_by_name="somebody")
    assert sources.telemetry_config() == load_config()


@pytest.mark.django_db(transaction=True)
def test_another_process_takes_it_up() -> None:
    """Each thread has a database connection of its own, as another process has."""
    store(("orders", ORDERS))
    seen: list[str] = []

    def look() -> None:
        try:
            seen.append(sources.telemetry_config().order[0])
        finally:
            connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == ["orders"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_store_at_once_one_is_told() -> None:
    person()
    together = threading.Barrier(2)
    outcomes: list[str] = []

    def store_mine(name: str) -> None:
        try:
            together.wait(timeout=20)
            store((name, ORDERS), version=0)
            outcomes.append("stored")
        except Conflict:
            outcomes.append("told")
        finally:
            connection.close()

    threads = [threading.Thread(target=store_mine, args=(name,)) for name in ("mine", "yours")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["stored", "told"]
    assert FamilySet.objects.count() == 1
