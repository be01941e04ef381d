"""Metric families: the presets, one's own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.core.errors import InvalidInput
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.families import (
    PRESETS_FILE,
    MetricFamily,
    Selector,
    load_config,
)


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ballast.toml"
    path.write_text(text)
    return path


def test_all_presets_are_tried_what_servers_count_first_and_what_is_derived_last() -> None:
    config = load_config()
    order = [name for name, _ in config.ordered()]
    assert set(order) == set(config.families)
    counted_by_servers, by_proxies, by_spans = (
        order.index(one) for one in ("http", "istio", "otel-spanmetrics")
    )
    assert counted_by_servers < by_proxies < by_spans
    kinds = [family.kind for _, family in config.ordered()]
    assert kinds.index("rates") > by_spans
    assert kinds == sorted(kinds, key=["counters", "rates", "ratios", "probes"].index)


def test_a_label_names_services_of_one_metric_after_the_ones_that_are_more_telling() -> None:
    """A scrape job is what is left where no other label names the service."""
    order = [name for name, _ in load_config().ordered()]
    for name in order:
        for suffix in ("-exported-job", "-job"):
            plain = name.removesuffix(suffix)
            if plain != name and plain in order:
                assert order.index(plain) < order.index(name), name
    assert order.index("otel-http-exported-job") < order.index("otel-http-job")


def test_span_metrics_are_read_in_either_unit() -> None:
    config = load_config()
    otel = config.families["otel-spanmetrics"]
    assert {(buckets.metric, buckets.unit) for buckets in otel.buckets} == {
        ("traces_span_metrics_duration_seconds_bucket", "s"),
        ("traces_span_metrics_duration_milliseconds_bucket", "ms"),
    }


def test_a_file_of_ones_own_adds_a_family_and_keeps_the_presets(tmp_path: Path) -> None:
    config = load_config(
        own(
            tmp_path,
            """
            [telemetry]
            order = ["mine", "http"]
            [telemetry.families.mine]
            service_label = "app"
            total = { metric = "rpc_total" }
            bad = [{ metric = "rpc_errors_total" }]
            """,
        )
    )
    assert [name for name, _ in config.ordered()] == ["mine", "http"]
    assert config.service_graph is not None


def test_new_families_of_a_file_without_an_order_are_tried_first(tmp_path: Path) -> None:
    config = load_config(
        own(
            tmp_path,
            """
            [telemetry.families.mine]
            service_label = "app"
            total = { metric = "rpc_total" }
            [telemetry.families.http]
            like = "http"
            service_label = "app"
            """,
        )
    )
    assert config.order == ("mine", *load_config().order)


LIKE = """
[telemetry]
order = ["mine"]
[telemetry.families.mine]
like = "http-job"
service_label = "app"
where = ["env=production"]
"""


def test_a_family_takes_what_it_does_not_say_from_the_one_that_it_is_like(tmp_path: Path) -> None:
    config = load_config(own(tmp_path, LIKE))
    http, mine = config.families["http"], config.families["mine"]
    assert (mine.total, mine.bad, mine.buckets) == (http.total, http.bad, http.buckets)
    assert (mine.service_label, mine.where) == ("app", ("env=production",))


def test_a_family_that_is_like_its_own_name_replaces_the_built_in_one_in_part(tmp_path: Path) -> None:
    text = '[telemetry.families.http]\nlike = "http"\nwhere = ["env=production"]\n'
    config = load_config(own(tmp_path, text))
    assert config.families["http"].where == ("env=production",)
    assert config.families["http"].total == load_config().families["http"].total
    assert config.families["http-job"] == load_config().families["http-job"]


def test_what_is_stored_lies_over_the_file_and_the_presets(tmp_path: Path) -> None:
    path = own(tmp_path, LIKE)
    stored = {
        "order": ["mine", "other"],
        "families": {
            "mine": {"service_label": "team", "total": {"metric": "asked_total"}},
            "other": {"like": "grpc-job", "service_label": "app"},
        },
    }
    config = load_config(path, stored)
    assert [name for name, _ in config.ordered()] == ["mine", "other"]
    assert config.families["mine"].service_label == "team"
    assert config.families["mine"].where == ()
    assert config.families["other"].total == config.families["grpc-job"].total


def test_a_file_without_telemetry_changes_nothing(tmp_path: Path) -> None:
    assert load_config(own(tmp_path, "[archetypes]\n")) == load_config()


def test_a_missing_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(tmp_path / "none.toml") == load_config()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[telemetry]\norder = ["htpp"]', "htpp"),
        ("[telemetry]\ntimeout = 3", "telemetry.timeout"),
        (
            '[telemetry.families.x]\nservice_label = "a b"\ntotal={metric="m"}\nbad=[{metric="n"}]',
            "service_label",
        ),
        ('[telemetry.families.x]\nservice_label = "a"\ntotal={metric="m{}"}\nbad=[{metric="n"}]', "metric"),
        (
            '[telemetry.families.x]\nservice_label = "a"\ntotal={metric="m"}\nbad=[{metric="m"}]',
            "same series",
        ),
        ('[telemetry.families.x]\nservice_label = "a"\nbad=[{metric="m"}]', "total"),
        (
            '[telemetry.families.x]\nservice_label = "a"\nkind="probes"\ntotal={metric="m"}\nbad=[{metric="n"}]',
            "probe",
        ),
        (
            '[telemetry.families.x]\nservice_label = "a"\nwhere=["a=b"]\ntotal={metric="m"}',
            "names the service",
        ),
        (
            '[telemetry.families.x]\nservice_label="a"\ntotal={metric="m",where=["c"]}\nbad=[{metric="n"}]',
            "where",
        ),
        ('[telemetry.families.x]\nlike = "nobody"', "there is no such family"),
        ('[telemetry.families.x]\nlike = "y"\n[telemetry.families.y]\nlike = "x"', "which is like"),
        ('[telemetry.families.x]\nlike = "x"', "there is no such family"),
        ("telemetry = 3", "telemetry"),
        ("[telemetry", "TOML"),
    ],
)
def test_it_names_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        load_config(own(tmp_path, text))


def test_values_are_escaped_in_queries() -> None:
    total = promql.counted_total(load_config().families["http"])
    one = total.summed(['say "hi"\\\n'], 3600)
    assert one == 'sum by (service) (increase(http_requests_total{service="say \\"hi\\"\\\\\\n"}[3600s1ms]))'
    several = total.summed(["a.b|c", "d[1]"], 3600)
    assert 'service=~"a\\\\.b\\\\|c|d\\\\[1\\\\]"' in several


def bad_queries(family: MetricFamily, *services: str) -> list[str]:
    return [one.summed(services, 3600) for one in promql.counted_bad(family, family.bad)]


def test_failures_told_by_either_label_are_counted_once() -> None:
    parts = [
        f'increase(http_requests_total{{{label}=~"5..",service="shop"}}[3600s1ms])'
        for label in ("code", "status", "status_code")
    ]
    assert bad_queries(load_config().families["http"], "shop") == [f"sum by (service) ({' or '.join(parts)})"]


def test_failures_of_several_counters_add_up(tmp_path: Path) -> None:
    text = """
        [telemetry.families.two]
        service_label = "app"
        total = { metric = "calls_total" }
        bad = [{ metric = "timeouts_total" }, { metric = "crashes_total" }]
    """
    family = load_config(own(tmp_path, text)).families["two"]
    assert bad_queries(family, "shop") == [
        'sum by (app) (increase(timeouts_total{app="shop"}[3600s1ms]))',
        'sum by (app) (increase(crashes_total{app="shop"}[3600s1ms]))',
    ]


def test_names_that_only_prometheus_3_knows_are_quoted(tmp_path: Path) -> None:
    text = """
        [telemetry.families.dots]
        service_label = "service.name"
        total = { metric = "http.server.request.duration", native = true }
        bad = [{ metric = "http.server.request.duration", native = true, where = ["http.response.status_code=~5.."] }]
    """
    family = load_config(own(tmp_path, text)).families["dots"]
    assert bad_queries(family, "shop") == [
        'sum by ("service.name") (histogram_count(increase({"http.server.request.duration",'
        '"http.response.status_code"=~"5..","service.name"="shop"}[3600s1ms])))'
    ]


def test_a_selector_without_matchers_is_the_bare_metric() -> None:
    assert promql.vector(Selector(metric="up")) == "up"


def test_only_what_a_service_answers_is_counted_in_span_metrics() -> None:
    config = load_config()
    for name in ("otel-spanmetrics", "tempo-spanmetrics"):
        query = promql.counted_total(config.families[name]).summed(["shop"], 3600)
        assert 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"' in query


def test_the_presets_file_is_where_the_code_looks() -> None:
    assert PRESETS_FILE.is_file()
