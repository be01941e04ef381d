"""Proposals from a real Prometheus whose metrics no built-in family knows."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from apps.telemetry import sources
from apps.telemetry.clients.prometheus.families import load_config
from apps.telemetry.proposals.documents import Proposal, Survey
from apps.telemetry.setup import surveys
from tests.real.own_metrics import DAY, fleet
from tests.real.prometheus import running_prometheus

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), fleet()) as address:
        yield address


@pytest.fixture(autouse=True)
def _configured(url: str, settings: Settings) -> Iterator[None]:
    settings.PROMETHEUS_URL = url
    sources.telemetry_config.cache_clear()
    yield
    sources.telemetry_config.cache_clear()


def by_metric(survey: Survey) -> dict[str, Proposal]:
    return {one.family.counted.metric: one for one in survey.proposals}


def test_metrics_of_ones_own_are_recognised_with_their_evidence() -> None:
    survey = surveys.look()
    found = by_metric(survey)
    own = found["orders_http_seconds_count"]
    assert own.family.service_label == "app"
    assert own.is_recommended
    assert not own.preset
    assert own.evidence.services == 3
    assert own.evidence.names == ["basket", "payment", "search"]
    assert own.evidence.failures_by == ["status"]
    assert own.evidence.failure_share == pytest.approx(0.01, rel=0.01)
    assert own.evidence.window_seconds == DAY
    assert own.evidence.buckets == 5
    assert [(one.metric, one.unit) for one in own.family.buckets] == [("orders_http_seconds_bucket", "s")]
    environments = next(one for one in own.evidence.twice if one.label == "env")
    assert environments.services == 3
    assert environments.where == "env!=staging"


def test_what_is_not_sure_is_said() -> None:
    found = by_metric(surveys.look())
    billing = found["billing_requests_total"]
    assert [one.metric for one in billing.family.bad] == ["billing_errors_total"]
    assert any("billing_errors_total" in doubt for doubt in billing.doubts)
    assert [(one.label, one.is_replica) for one in billing.evidence.twice] == [("prometheus_replica", True)]
    assert any("No histogram" in doubt for doubt in billing.doubts)


def test_two_families_that_count_the_same_are_not_both_recommended() -> None:
    found = by_metric(surveys.look())
    edge, own = found["edge_calls_total"], found["orders_http_seconds_count"]
    assert edge.evidence.failures_by == ["outcome"]
    assert any(own.name in text for text in edge.overlaps) or any(edge.name in text for text in own.overlaps)
    assert [edge.is_recommended, own.is_recommended].count(True) == 1


def test_a_common_metric_under_a_label_of_ones_own_is_a_family_like_the_built_in_one() -> None:
    found = by_metric(surveys.look())["http_requests_total"]
    assert not found.preset
    assert found.family.service_label == "app"
    assert found.family.total == load_config().families["http"].total


def test_recording_rules_and_noise_are_told_apart() -> None:
    survey = surveys.look()
    found = by_metric(survey)
    assert found["checkout:burnrate5m"].family.kind == "ratios"
    assert found["checkout:burnrate5m"].evidence.failure_share == pytest.approx(0.002, rel=0.01)
    assert not {"go_gc_calls_total", "cache_bytes_total", "temperature_celsius"} & set(found)
    assert sum(survey.left_out.values()) >= 3


def test_the_command_writes_a_file_that_ballast_can_read(tmp_path: Path, settings: Settings) -> None:
    out, err = StringIO(), StringIO()
    call_command("telemetry", "propose", "--toml", stdout=out, stderr=err)
    assert tomllib.loads(out.getvalue())["telemetry"]["families"]
    path = tmp_path / "ballast.toml"
    path.write_text(out.getvalue())
    config = load_config(path)
    assert config.families["orders-http-seconds"].service_label == "app"
    assert "questions in" in err.getvalue()


def test_the_command_tells_what_it_found_in_words() -> None:
    out, err = StringIO(), StringIO()
    call_command("telemetry", "propose", stdout=out, stderr=err)
    told = out.getvalue()
    assert "orders_http_seconds_count by app: 3 services, failures by status (200, 404, 500)" in told
    assert "1 % failed in the last day" in told
    assert "latency in seconds, 5 buckets" in told
    assert "3 services are in several values of env (production, staging) and would be added up" in told
    assert "questions in" in err.getvalue()
