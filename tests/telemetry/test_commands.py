"""The commands: what they print, where, and how they fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import stamina
from django.core.management import CommandError, call_command
from django.urls import reverse
from pytest_django.fixtures import Settings

from apps.catalog.models import Service
from apps.core.models import AuditEntry
from apps.telemetry import sources
from apps.telemetry.models import SliHour, TelemetryRun
from tests.pages import client_of, text_of
from tests.telemetry.folders import SLI, START, write, write_services
from tests.telemetry.prometheus_server import Reply, Server, error, matrix, serving, success
from tests.telemetry.test_backfill import steady
from tests.telemetry.test_prometheus_source import Fleet

pytestmark = pytest.mark.django_db

PAST = int(datetime(2023, 8, 21, 9, tzinfo=UTC).timestamp())


@contextmanager
def structlog_to_stderr() -> Iterator[None]:
    """Let what is logged reach stderr as it does outside of tests, where only errors do."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def past_folder(tmp_path: Path, *rows: str) -> Path:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, rows)
    return tmp_path


def test_importing_prints_what_was_read_and_stored(tmp_path: Path) -> None:
    out, err = run("import_observations", str(past_folder(tmp_path, f"shop,{PAST},3600,10,1,,,")))
    assert "sli.csv: 1 row\n" in out
    assert "stored: 1 hours, 1 days" in out
    assert "services: 1 created" in out
    assert err == ""
    assert TelemetryRun.objects.get().state == TelemetryRun.State.COMPLETED


def test_importing_is_audited_under_the_name_of_who_ran_it(tmp_path: Path) -> None:
    run("import_observations", str(past_folder(tmp_path, f"shop,{PAST},3600,10,1,,,")))
    entry = AuditEntry.objects.get(action="telemetry.import")
    assert entry.source == AuditEntry.Source.COMMAND
    assert entry.actor_name.startswith("command: ")


def test_importing_bad_rows_names_them_and_fails(tmp_path: Path) -> None:
    folder = past_folder(tmp_path, f"shop,{PAST},3600,10,11,,,", f"ghost,{PAST},3600,10,1,,,")
    with pytest.raises(CommandError) as caught:
        run("import_observations", str(folder))
    assert "sli.csv:2: bad: 11 failed of 10" in str(caught.value)
    assert "sli.csv:3: service_id: 'ghost' is no service" in str(caught.value)
    failed = TelemetryRun.objects.get()
    assert (failed.state, failed.error_count) == (TelemetryRun.State.FAILED, 2)
    assert failed.errors[1] == {
        "file": "sli.csv",
        "line": 3,
        "field": "service_id",
        "reason": "'ghost' is no service; add it to services.csv",
    }
    assert not SliHour.objects.exists()


def test_a_problem_is_said_once_and_in_words_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    folder = past_folder(tmp_path, f"shop,{PAST},3600,10,11,,,")
    with structlog_to_stderr(), pytest.raises(CommandError) as caught:
        run("import_observations", str(folder))
    assert str(caught.value).count("11 failed of 10") == 1
    assert "run_failed" not in capfd.readouterr().err


def test_a_file_without_rows_and_files_that_are_not_read_are_told_on_stderr(tmp_path: Path) -> None:
    folder = past_folder(tmp_path)
    (folder / "readme.txt").write_text("hello")
    out, err = run("import_observations", str(folder))
    assert "sli.csv: 0 rows\n" in out
    assert "sli.csv has no rows.\n" in err
    assert "Not read: readme.txt." in err


def test_a_long_list_of_problems_is_cut_and_counted(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="and 100 more") as caught:
        run("import_observations", str(past_folder(tmp_path, *[f"ghost,{START},3600,1,0,,,"] * 300)))
    assert str(caught.value).count("'ghost' is no service") == 200


def test_backfilling_prints_what_came(prometheus: Server, fleet: Fleet) -> None:
    Service.objects.create(service_id="shop")
    fleet.says("code=~", success(matrix()))
    fleet.says("http_requests_total", steady("100", service="shop"))
    out, err = run("backfill", "--days", "2", "--end", "2023-08-23T10:00:00")
    assert out == (
        "1 of 1 services have data from 2023-08-21T10:00Z to 2023-08-23T10:00Z: "
        "48 hours, 0 latency histograms and 0 edge hours stored.\n"
    )
    assert err == ""
    assert SliHour.objects.filter(bin_start__year=2023).count() == 48


def test_backfilling_hours_that_shrank_says_what_stands_and_how_to_replace_it(
    prometheus: Server, fleet: Fleet
) -> None:
    Service.objects.create(service_id="shop")
    fleet.says("code=~", success(matrix()))
    arguments = ("backfill", "--days", "1", "--end", "2023-08-23T10:00:00")
    fleet.says("http_requests_total", steady("100", service="shop"))
    run(*arguments)
    fleet.says("http_requests_total", steady("60", service="shop"))
    _, err = run(*arguments)
    assert "24 hours now have less data than is stored" in err
    assert "--trust" in err
    assert SliHour.objects.filter(total=100).count() == 24
    _, err = run(*arguments, "--trust")
    assert err == ""
    assert SliHour.objects.filter(total=60).count() == 24


def test_backfilling_without_a_source_fails_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(CommandError, match="PROMETHEUS_URL"):
        run("backfill")


def test_backfilling_an_unknown_service_fails(prometheus: Server) -> None:
    with pytest.raises(CommandError, match="ghost"):
        run("backfill", "--service", "ghost")


def test_backfilling_from_a_source_that_refuses_fails_with_its_reason(
    prometheus: Server, fleet: Fleet
) -> None:
    Service.objects.create(service_id="shop")
    fleet.says("http_requests_total", error(400, "bad_data", "unknown function"))
    with pytest.raises(CommandError, match="unknown function"):
        run("backfill", "--days", "1")


def test_checking_shows_queries_answers_and_what_would_be_read(prometheus: Server, fleet: Fleet) -> None:
    fleet.says(
        "topk",
        success({"resultType": "vector", "result": [{"metric": {"ip": "10.0.0.1"}, "value": [1, "7"]}]}),
    )
    fleet.says("code=~", steady("1", service="shop"))
    fleet.says("http_requests_total", steady("100", service="shop"))
    out, _ = run("telemetry", "check", "--service", "shop", "--end", "2023-08-23T10:00:00")
    assert 'sum by (service) (increase(http_requests_total{service="shop"}[3600s1ms]))' in out
    assert "1 series, 24 values" in out
    assert "24 hours, 2,400 requests, 24 failed: 99\N{NARROW NO-BREAK SPACE}% good" in out
    assert "Label ip: " in out
    assert "10.0.0.1" not in out
    assert not SliHour.objects.exists()


def test_checking_a_service_without_data_says_so(prometheus: Server) -> None:
    out, _ = run("telemetry", "check", "--service", "nobody")
    assert "no metric family has data under this name" in out


def test_checking_fails_where_a_query_fails(prometheus: Server, fleet: Fleet) -> None:
    fleet.says("http_requests_total", error(400, "bad_data", "unknown function"))
    with pytest.raises(CommandError, match="could not be read"):
        run("telemetry", "check", "--service", "shop")


def test_checking_without_a_source_fails() -> None:
    with pytest.raises(CommandError, match="no source"):
        run("telemetry", "check", "--service", "shop")


@pytest.fixture
def fresh_config() -> Iterator[None]:
    """Let the configuration file be read anew, and again after the test."""
    sources.telemetry_config.cache_clear()
    yield
    sources.telemetry_config.cache_clear()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(body=b"<html><title>Sign in</title></html>"), "a web page titled 'Sign in'"),
        (Reply(body=b"", status=302, headers={"Location": "/login"}), "redirects to /login"),
        (Reply(body=b"no", status=401), "Check PROMETHEUS_TOKEN"),
        (Reply(body=b"no", status=403), "Check PROMETHEUS_TOKEN"),
        (Reply(body=b"no org id", status=401), "PROMETHEUS_ORG_ID must name a tenant"),
        (Reply(body=b"", status=429, headers={"Retry-After": "60"}), "asks to wait 60 s"),
        (error(200, "bad_data", "not today"), "200 bad_data: not today"),
        (success("x" * (2 << 20)), "sent more than 1 MB"),
        (success(5), "did not answer with a list of metric names"),
        (success({"resultType": "matrix", "result": 5}), "did not answer with a list of metric names"),
    ],
)
def test_a_source_that_is_not_well_is_one_line_in_the_command_and_on_the_page(
    settings: Settings, tmp_path: Path, reply: Reply, words: str, fresh_config: None
) -> None:
    settings.CONFIG_FILE = tmp_path / "ballast.toml"
    settings.CONFIG_FILE.write_text("[telemetry]\nmax_answer_mb = 1\n")
    with serving(lambda path, form: reply) as server, stamina.set_testing(True, attempts=1):
        settings.PROMETHEUS_URL = server.url
        with pytest.raises(CommandError) as caught:
            run("telemetry", "check", "--service", "shop")
        page = text_of(client_of("viewer").get(reverse("telemetry-check"), {"service": "shop"}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert page.count(words) == 1


def test_a_tenant_without_data_is_told_apart_from_a_source_that_is_down(settings: Settings) -> None:
    settings.PROMETHEUS_ORG_ID = "nobody"
    with serving(lambda path, form: success([])) as server:
        settings.PROMETHEUS_URL = server.url
        out, _ = run("telemetry", "check", "--service", "shop")
    assert (
        "no metrics of the last day for any metric family of the tenant 'nobody'. Is PROMETHEUS_ORG_ID right?"
        in out
    )
