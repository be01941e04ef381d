"""PetShop, from a real Prometheus to the aggregates: every count arrives as it was measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from apps.catalog.models import Dependency, Service
from apps.telemetry import sources
from apps.telemetry.models import SliHour
from tests.real import petshop
from tests.real.prometheus import require_prometheus, running_prometheus

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["low", "high"])
def recording(request: pytest.FixtureRequest) -> petshop.Recording:
    petshop.require_petshop()
    require_prometheus()
    return petshop.load(request.param)


@pytest.fixture
def backfilled(recording: petshop.Recording, tmp_path: Path, settings: Settings) -> Iterator[str]:
    """The graph imported and the recording backfilled over HTTP; yields what the backfill printed."""
    for name in ("graph", "prometheus"):
        (tmp_path / name).mkdir()
    recording.write_graph(tmp_path / "graph")
    (tmp_path / "ballast.toml").write_text(petshop.CONFIG)
    settings.CONFIG_FILE = tmp_path / "ballast.toml"
    sources.telemetry_config.cache_clear()
    call_command("import_observations", str(tmp_path / "graph"), stdout=StringIO())
    with running_prometheus(tmp_path / "prometheus", recording.metrics()) as url:
        settings.PROMETHEUS_URL = url
        out = StringIO()
        call_command("backfill", "--days", "3", "--end", recording.end.isoformat(), stdout=out)
        yield out.getvalue()
    sources.telemetry_config.cache_clear()


def test_every_count_and_percentile_arrives_as_it_was_measured(
    recording: petshop.Recording, backfilled: str
) -> None:
    assert f"{len(recording.nodes)} of " in backfilled
    assert Dependency.objects.count() == len(recording.edges)
    for name, node in recording.nodes.items():
        service = Service.objects.get(service_id=name)
        hours = SliHour.objects.filter(service=service).order_by("bin_start")
        assert len(hours) == 50
        for hour in hours:
            first = int(hour.bin_start.timestamp())
            bins = list(range(first, first + 3600, petshop.STEP))
            assert hour.total == pytest.approx(sum(node.total.get(at, 0) for at in bins), rel=1e-6, abs=1e-6)
            assert hour.bad == pytest.approx(sum(node.bad.get(at, 0) for at in bins), rel=1e-6, abs=1e-6)
            expected = [node.percentiles["p99"][at] * 1000 for at in bins if at in node.percentiles["p99"]]
            assert [value for value in hour.p99_ms or [] if value is not None] == pytest.approx(expected)

    petsite = Service.objects.get(service_id="PetSite")
    total, bad = (
        sum(getattr(hour, name) for hour in SliHour.objects.filter(service=petsite))
        for name in ("total", "bad")
    )
    assert 1 - bad / total == pytest.approx({"low": 0.99591, "high": 0.99910}[recording.level], abs=5e-6)


def test_a_second_backfill_changes_nothing(recording: petshop.Recording, backfilled: str) -> None:
    before = sorted(SliHour.objects.values_list("service_id", "bin_start", "total", "bad", "p95_ms"))
    call_command("backfill", "--days", "3", "--end", recording.end.isoformat(), stdout=StringIO())
    assert sorted(SliHour.objects.values_list("service_id", "bin_start", "total", "bad", "p95_ms")) == before


def test_a_check_shows_what_would_be_read_of_petsite(recording: petshop.Recording, backfilled: str) -> None:
    out = StringIO()
    end = (recording.start + timedelta(hours=24)).isoformat()
    call_command("telemetry", "check", "--service", "PetSite", "--end", end, stdout=out)
    assert 'increase(requests_total{microservice="PetSite"}[3600s1ms])' in out.getvalue()
    assert "24 hours" in out.getvalue()
    assert "288 bins of percentiles, 300 s each" in out.getvalue()
