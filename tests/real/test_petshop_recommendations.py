"""PetShop, from a real Prometheus to recommendations: what 49 hours can and cannot say."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from apps.slos.models import Recommendation
from apps.telemetry import sources
from tests.real import petshop
from tests.real.prometheus import require_prometheus, running_prometheus

pytestmark = pytest.mark.django_db

TIERS = ("conservative", "balanced", "aggressive")


@pytest.fixture(params=["low", "high"])
def recording(request: pytest.FixtureRequest) -> petshop.Recording:
    petshop.require_petshop()
    require_prometheus()
    return petshop.load(request.param)


@pytest.fixture
def documents(recording: petshop.Recording, tmp_path: Path, settings: Settings) -> dict[str, dict[str, Any]]:
    """What ``recommend --store`` says of every service after a backfill over HTTP, by service id."""
    for name in ("graph", "prometheus"):
        (tmp_path / name).mkdir()
    recording.write_graph(tmp_path / "graph")
    (tmp_path / "ballast.toml").write_text(petshop.CONFIG)
    settings.CONFIG_FILE = tmp_path / "ballast.toml"
    sources.telemetry_config.cache_clear()
    call_command("import_observations", str(tmp_path / "graph"), stdout=StringIO())
    with running_prometheus(tmp_path / "prometheus", recording.metrics()) as url:
        settings.PROMETHEUS_URL = url
        call_command("backfill", "--days", "3", "--end", recording.end.isoformat(), stdout=StringIO())
    sources.telemetry_config.cache_clear()
    out = StringIO()
    call_command("recommend", "--store", stdout=out)
    return {document["service_id"]: document for document in map(json.loads, out.getvalue().splitlines())}


def test_petsite_gets_a_wide_ordered_answer_that_says_it_is_new(
    recording: petshop.Recording, documents: dict[str, dict[str, Any]]
) -> None:
    availability = documents["PetSite"]["availability"]
    assert availability["verdict"] == "cold_start"
    # The last hour holds one bin of five minutes, and hours are kept whole.
    assert availability["reason"].startswith("50 h of data: ")
    assert "no past window of 28 days can be judged yet, nor how often alerts" in availability["reason"]
    assert documents["PetSite"]["explanation"]["summary"].endswith(availability["reason"])
    observed = {"low": 0.99591, "high": 0.99910}[recording.level]
    assert availability["observed"] == pytest.approx(observed, abs=5e-6)

    targets = [availability["tiers"][name]["target"] for name in TIERS]
    assert targets == sorted(targets)
    assert targets[0] < targets[2]
    assert all(0.97 < target < 0.999 for target in targets)
    for name in TIERS:
        low, high = availability["tiers"][name]["interval"]
        assert low <= availability["tiers"][name]["target"] <= high < 1

    composite = availability["composite"]
    assert composite["lower_bound"] <= composite["point"] <= composite["upper_bound"]
    assert composite["point"] == pytest.approx(observed, abs=0.001)


def test_the_naive_product_says_that_petsite_never_works(
    recording: petshop.Recording, documents: dict[str, dict[str, Any]]
) -> None:
    """Hourly bins of the recording; the product over direct callees is 0 % at low traffic, 24.6 % at high."""
    callees = {target for source, target in recording.edges if source == "PetSite" and target != "PetSite"}
    product = math.prod(
        1 - sum(recording.nodes[name].bad.values()) / sum(recording.nodes[name].total.values())
        for name in callees
        if name in recording.nodes and sum(recording.nodes[name].total.values()) > 0
    )
    assert product == pytest.approx({"low": 0.0, "high": 0.246}[recording.level], abs=0.001)
    assert documents["PetSite"]["availability"]["composite"]["naive_product"] == pytest.approx(
        product, abs=0.001
    )


def test_percentiles_without_histograms_are_judged_by_bins(documents: dict[str, dict[str, Any]]) -> None:
    latency = documents["PetSite"]["latency"]["p95_ms"]
    assert latency["basis"] == "bins"
    thresholds = [latency["tiers"][name]["target"] for name in TIERS]
    assert thresholds == sorted(thresholds, reverse=True)


def test_every_service_gets_a_verdict_and_those_without_a_number_a_reason(
    recording: petshop.Recording, documents: dict[str, dict[str, Any]]
) -> None:
    assert set(recording.nodes) <= set(documents)
    for document in documents.values():
        availability = document["availability"]
        assert availability["verdict"] in {
            "cold_start",
            "insufficient_history",
            "insufficient_traffic",
            "nothing_kept",
            "no_data",
        }
        assert (availability["tiers"] is None) == (availability["verdict"] != "cold_start")
        assert availability["reason"]
    current = Recommendation.objects.filter(status="current", sli_type="availability")
    assert current.count() == len(documents)
