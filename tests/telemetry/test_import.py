"""Importing a folder: all of it or nothing, once or twice, with every bad row named."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.catalog.models import Dependency, Service
from apps.core.errors import InvalidInput
from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour
from apps.telemetry.storing.aggregates import Stored
from tests.telemetry.folders import (
    BUCKETS,
    DEPENDENCIES,
    EDGE_SLI,
    HOUR,
    NOW,
    SERVICES,
    SLI,
    START,
    import_folder,
    write,
    write_services,
)

pytestmark = pytest.mark.django_db


def hours(service_id: str) -> list[SliHour]:
    return list(SliHour.objects.filter(service__service_id=service_id).order_by("bin_start"))


def snapshot() -> list[list[tuple[object, ...]]]:
    return [
        sorted(model.objects.values_list(), key=repr) for model in (SliHour, SliDay, LatencyHour, EdgeHour)
    ]


def refused(folder: Path) -> dict[tuple[str, int, str], str]:
    """The problems of an import that is refused, by file, line and field; nothing may have been stored."""
    before = (Service.objects.count(), Dependency.objects.count(), snapshot())
    with pytest.raises(InvalidInput) as caught:
        import_folder(folder)
    assert (Service.objects.count(), Dependency.objects.count(), snapshot()) == before
    return {
        (problem["file"], problem["line"], problem["field"]): problem["reason"]
        for problem in caught.value.extra["problems"]
    }


def test_it_makes_the_graph_and_stores_hours_and_days(tmp_path: Path) -> None:
    write(
        tmp_path,
        "services.csv",
        SERVICES,
        [
            ("shop", "web", "critical", "false", ""),
            ("bank", "", "", "true", "0.9995"),
            ("db", "web", "high", "", ""),
        ],
    )
    write(
        tmp_path,
        "dependencies.csv",
        DEPENDENCIES,
        [("shop", "bank", "sync", "hard", "0.25"), "shop,db,sync,hard,"],
    )
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [("shop", START + i * HOUR, HOUR, 100, i % 2, 10, 20, 30) for i in range(48)],
    )
    result = import_folder(tmp_path)
    assert result.rows == {"services.csv": 3, "dependencies.csv": 2, "sli.csv": 48}
    assert (result.stored.hours, result.stored.days) == (48, 2)
    bank = Service.objects.get(service_id="bank")
    assert bank.is_external
    assert float(bank.published_sla or 0) == 0.9995
    assert Dependency.objects.get(target__service_id="bank").calls_per_request == 0.25
    assert [(row.total, row.bad, row.observed_seconds) for row in SliDay.objects.order_by("bin_start")] == [
        (2400, 12, 86400),
        (2400, 12, 86400),
    ]
    assert hours("shop")[0].p99_ms == [30]


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    write_services(tmp_path, "shop", "db")
    write(
        tmp_path, "sli.csv", SLI, [("shop", START + i * 300, 300, 100, 1, "", 20 + i, "") for i in range(24)]
    )
    write(
        tmp_path, "edge_sli.csv", EDGE_SLI, [("shop", "db", START + i * 300, 300, 50, 1) for i in range(24)]
    )
    write(
        tmp_path,
        "latency_buckets.csv",
        BUCKETS,
        [("shop", START, HOUR, 5, 10), ("shop", START, HOUR, "+Inf", 12)],
    )
    import_folder(tmp_path)
    before = snapshot()
    assert import_folder(tmp_path).stored == Stored()
    assert snapshot() == before
    assert all(before)


def test_counts_of_finer_bins_are_summed_and_percentiles_are_lined_up_never_averaged(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    rows = [
        ("shop", START + i * 900, 900, 10 * (i + 1), i, 1 + i, 10 + i, "" if i == 2 else 100 + i)
        for i in range(4)
    ]
    write(tmp_path, "sli.csv", SLI, [rows[3], rows[1], rows[0], rows[2]])
    import_folder(tmp_path)
    (hour,) = hours("shop")
    assert (hour.total, hour.bad, hour.observed_seconds) == (100, 6, 3600)
    assert hour.p50_ms == [1, 2, 3, 4]
    assert hour.p95_ms == [10, 11, 12, 13]
    assert hour.p99_ms == [100, 101, None, 103]


def test_a_bin_without_latency_leaves_no_trace_in_the_percentiles(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [("shop", START, 1800, 0, 0, "", "", ""), ("shop", START + 1800, 1800, 5, 0, "", 7, "")],
    )
    import_folder(tmp_path)
    (hour,) = hours("shop")
    assert (hour.p50_ms, hour.p95_ms, hour.p99_ms) == (None, [7], None)


def test_latencies_are_optional_as_columns(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", "timestamp,service_id,bad,total,step_seconds", [(START, "shop", 1, 9, HOUR)])
    import_folder(tmp_path)
    assert [(hour.total, hour.bad, hour.p95_ms) for hour in hours("shop")] == [(9, 1, None)]


def test_days_may_be_given_as_days(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [("shop", START, 86400, 2400, 2, "", "", "")]
        + [("shop", START + 86400 + i * 21600, 21600, 600, 1, "", "", "") for i in range(4)],
    )
    result = import_folder(tmp_path)
    assert (result.stored.hours, result.stored.days) == (0, 2)
    assert [(day.total, day.bad) for day in SliDay.objects.order_by("bin_start")] == [(2400, 2), (2400, 4)]


def test_half_an_hour_never_replaces_a_whole_one(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", START, HOUR, 100, 1, "", "", "")])
    import_folder(tmp_path)
    write(tmp_path, "sli.csv", SLI, [("shop", START, 1800, 40, 0, "", "", "")])
    import_folder(tmp_path)
    assert hours("shop")[0].total == 100
    write(tmp_path, "sli.csv", SLI, [("shop", START, HOUR, 90, 2, "", "", "")])
    import_folder(tmp_path)
    assert (hours("shop")[0].total, SliDay.objects.get().total) == (90, 90)


def test_hours_of_a_day_join_what_other_imports_brought_of_it(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", START, HOUR, 100, 1, "", "", "")])
    import_folder(tmp_path)
    write(tmp_path, "sli.csv", SLI, [("shop", START + HOUR, HOUR, 10, 2, "", "", "")])
    import_folder(tmp_path)
    day = SliDay.objects.get()
    assert (day.total, day.bad, day.observed_seconds) == (110, 3, 7200)


@pytest.mark.parametrize(
    "text",
    ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00+02:00", "2026-10-25 00:00:00", str(START), f"{START}.0"],
)
def test_timestamps_are_iso_or_unix(tmp_path: Path, text: str) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [("shop", text, HOUR, 1, 0, "", "", "")])
    import_folder(tmp_path)
    assert hours("shop")[0].bin_start.timestamp() == START


def test_every_bad_row_is_named_and_nothing_is_stored(tmp_path: Path) -> None:
    write(tmp_path, "services.csv", SERVICES, ["shop,web,critical,false,", "other,web,urgent,false,99.9"])
    write(tmp_path, "dependencies.csv", DEPENDENCIES, ["shop,shop,sync,hard,", "shop,other,maybe,hard,-1"])
    good = f"shop,{START},3600,10,1,,,"
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [
            good,
            f"nobody,{START},3600,10,1,,,",
            "shop,yesterday,3600,10,1,,,",
            f"shop,{START + HOUR},3600,10,11,,,",
            f"shop,{START + 2 * HOUR},3600,ten,1,,,",
            f"shop,{START + 3 * HOUR},700,10,1,,,",
            f"shop,{START + 4 * HOUR + 1800},3600,10,1,,,",
            f"shop,{START + 5 * HOUR},3600,-1,0,,,",
            f"shop,{START + 6 * HOUR},3600,nan,0,,,",
            f"shop,{START + 7 * HOUR},3600,10,inf,,,",
            f"shop,{START + 8 * HOUR},3600,10,1,,-3,",
            f"shop,{START * 1000},3600,10,1,,,",
            f"shop,{int(NOW.timestamp()) + 10 * HOUR},3600,10,1,,,",
            "shop,too,short",
            f"shop,{START},3600,10,1,,,",
        ],
    )
    width = (
        "700 cannot be: a bin is as wide as a divisor of an hour (60, 300, 3600), or as whole hours that divide "
        "a day (86400)"
    )
    assert refused(tmp_path) == {
        (
            "services.csv",
            3,
            "criticality",
        ): "'urgent' is not possible; write critical, high, medium or low",
        ("services.csv", 3, "published_sla"): "'99.9' is a percentage; write the ratio: 0.999",
        ("dependencies.csv", 2, "target"): "shop cannot depend on itself",
        ("dependencies.csv", 3, "mode"): "'maybe' is not possible; write sync or async",
        ("dependencies.csv", 3, "calls_per_request"): "'-1' is less than 0",
        ("sli.csv", 3, "service_id"): "'nobody' is no service; add it to services.csv",
        (
            "sli.csv",
            4,
            "timestamp",
        ): "'yesterday' is neither ISO 8601 (2026-11-01T00:00:00Z) nor Unix seconds",
        ("sli.csv", 5, "bad"): "11 failed of 10: there cannot be more failures than requests",
        ("sli.csv", 6, "total"): "'ten' is not a number",
        ("sli.csv", 7, "step_seconds"): width,
        (
            "sli.csv",
            8,
            "timestamp",
        ): "the bin starts at 2026-10-25T04:30:00Z and is 3600 s wide, which reaches into the next hour: "
        "a bin must not cross the end of its hour",
        ("sli.csv", 9, "total"): "-1 is negative; a count is 0 or more",
        ("sli.csv", 10, "total"): "NaN is no count; leave the line out where there is no data",
        ("sli.csv", 11, "bad"): "inf is too large for a count",
        ("sli.csv", 12, "p95_ms"): "-3 is negative; a latency is 0 or more, or blank where there is none",
        (
            "sli.csv",
            13,
            "timestamp",
        ): f"'{START * 1000}' is not between the years 2000 and 2100; these look like milliseconds: divide by 1,000",
        (
            "sli.csv",
            14,
            "timestamp",
        ): "the bin ends at 2026-11-01T23:00:00Z, and it is 2026-11-01T12:00:00Z now: nothing can have been "
        "observed; is the time zone right?",
        ("sli.csv", 15, "total"): "is missing: the line has 3 values, the header names 8 columns",
        ("sli.csv", 16, "timestamp"): "covers time that line 2 covers already; keep one of the two",
    }


def test_bins_that_overlap_are_named_whatever_their_widths(tmp_path: Path) -> None:
    write_services(tmp_path, "shop", "other")
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [
            f"shop,{START},3600,10,1,,,",
            f"other,{START},3600,10,1,,,",
            f"shop,{START + 1800},300,10,1,,,",
            f"shop,{START},86400,10,1,,,",
        ],
    )
    assert refused(tmp_path) == {
        ("sli.csv", 4, "timestamp"): "covers time that line 2 covers already; keep one of the two"
    }


def test_problems_are_named_up_to_a_bound_and_counted_beyond(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, [f"ghost-{i},{START},3600,10,1,,," for i in range(1000)])
    with pytest.raises(InvalidInput, match="1,000 problems") as caught:
        import_folder(tmp_path)
    assert caught.value.extra["error_count"] == 1000
    assert len(caught.value.extra["problems"]) == 200


@pytest.mark.parametrize(
    ("header", "field", "words"),
    [
        ("service_id,timestamp,total,bad", "step_seconds", "missing"),
        (SLI + ",extra", "extra", "remove it"),
        (SLI + ",total", "total", "more than once"),
    ],
)
def test_a_header_that_is_not_right_is_named(tmp_path: Path, header: str, field: str, words: str) -> None:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", header, [])
    assert words in refused(tmp_path)["sli.csv", 1, field]


def test_lines_are_counted_over_quoted_line_breaks_and_empty_lines(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(
        tmp_path, "sli.csv", SLI, ['"two\nlines",' + f"{START},3600,1,0,,,", "", f"shop,{START},3600,1,2,,,"]
    )
    assert ("sli.csv", 5, "bad") in refused(tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    (tmp_path / "sli.csv").write_bytes(SLI.encode() + b"\n\xff\xfe\n")
    assert "UTF-8" in refused(tmp_path)["sli.csv", 2, "service_id"]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    text = f"{SLI}\nshop,{START},3600,1,0,,,\n"
    (tmp_path / "sli.csv").write_text(text, encoding="utf-8-sig")
    assert import_folder(tmp_path).stored.hours == 1


def test_any_character_may_be_in_a_service_id(tmp_path: Path) -> None:
    odd = "PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage"
    write_services(tmp_path, odd, "169.254.170.2_remote")
    write(
        tmp_path, "sli.csv", SLI, [f"{odd},{START},3600,1,0,,,", f"169.254.170.2_remote,{START},3600,1,0,,,"]
    )
    import_folder(tmp_path)
    assert len(hours(odd)) == len(hours("169.254.170.2_remote")) == 1


def test_ends_of_dependencies_may_have_observations_without_standing_in_services(tmp_path: Path) -> None:
    write(tmp_path, "dependencies.csv", DEPENDENCIES, ["shop,db,sync,hard,"])
    write(tmp_path, "sli.csv", SLI, [f"db,{START},3600,1,0,,,"])
    import_folder(tmp_path)
    assert Service.objects.get(service_id="db").is_discovered
    assert len(hours("db")) == 1


def test_services_that_exist_need_not_be_named_again(tmp_path: Path) -> None:
    Service.objects.create(service_id="shop")
    write(tmp_path, "sli.csv", SLI, [f"shop,{START},3600,1,0,,,"])
    import_folder(tmp_path)
    assert len(hours("shop")) == 1


def test_edge_counts_are_summed_by_the_hour(tmp_path: Path) -> None:
    write_services(tmp_path, "shop", "db")
    write(tmp_path, "edge_sli.csv", EDGE_SLI, [("shop", "db", START + i * 900, 900, 10, i) for i in range(4)])
    import_folder(tmp_path)
    edge = EdgeHour.objects.get()
    assert (edge.total, edge.bad, edge.observed_seconds) == (40, 6, 3600)


def test_edges_between_unknown_services_or_to_itself_are_named(tmp_path: Path) -> None:
    write_services(tmp_path, "shop", "db")
    write(
        tmp_path,
        "edge_sli.csv",
        EDGE_SLI,
        [
            ("shop", "gone", START, HOUR, 1, 0),
            ("shop", "shop", START, HOUR, 1, 0),
            ("shop", "db", START, 7200, 1, 0),
            ("shop", "db", START, 900, 1, 0),
            ("shop", "db", START, 900, 1, 0),
        ],
    )
    assert set(refused(tmp_path)) == {
        ("edge_sli.csv", 2, "target"),
        ("edge_sli.csv", 3, "target"),
        ("edge_sli.csv", 4, "step_seconds"),
        ("edge_sli.csv", 6, "timestamp"),
    }


def test_histograms_are_summed_over_the_bounds_that_all_bins_share(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    first = [("shop", START, 1800, bound, count) for bound, count in ((5, 10), (10, 20), ("+Inf", 30))]
    second = [("shop", START + 1800, 1800, bound, count) for bound, count in ((5, 1), (25, 3), ("+Inf", 4))]
    write(tmp_path, "latency_buckets.csv", BUCKETS, [*first, *second])
    import_folder(tmp_path)
    histogram = LatencyHour.objects.get()
    assert histogram.bounds_ms == [5, float("inf")]
    assert histogram.cumulative == [11, 34]


def test_histograms_that_cannot_be_are_named(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(
        tmp_path,
        "latency_buckets.csv",
        BUCKETS,
        [
            ("shop", START, HOUR, 5, 10),
            ("shop", START, HOUR, 10, 8),
            ("shop", START, HOUR, "+Inf", 12),
            ("shop", START + HOUR, HOUR, 5, 10),
            ("shop", START + 2 * HOUR, HOUR, 5, 10),
            ("shop", START + 2 * HOUR, HOUR, 5, 10),
            ("shop", START + 2 * HOUR, HOUR, "+Inf", 10),
            ("shop", START + 3 * HOUR, HOUR, "-1", 10),
            ("shop", START + 4 * HOUR, HOUR, "+Inf", "NaN"),
        ],
    )
    assert set(refused(tmp_path)) == {
        ("latency_buckets.csv", 3, "count"),
        ("latency_buckets.csv", 5, "le_ms"),
        ("latency_buckets.csv", 7, "le_ms"),
        ("latency_buckets.csv", 9, "le_ms"),
        ("latency_buckets.csv", 10, "count"),
    }


def test_a_folder_without_any_of_the_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InvalidInput, match="none of the files"):
        import_folder(tmp_path)
    with pytest.raises(InvalidInput, match="There is no folder"):
        import_folder(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="is a file; name the folder"):
        import_folder(tmp_path / "notes.txt")


def test_a_file_with_a_name_that_nobody_reads_is_told(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    (tmp_path / "latency_bucket.csv").write_text(BUCKETS)
    assert "latency_bucket.csv" in import_folder(tmp_path).warnings[0]


def test_old_observations_get_their_partitions(tmp_path: Path) -> None:
    write_services(tmp_path, "petsite")
    write(tmp_path, "sli.csv", SLI, ["petsite,2023-08-21T09:00:00Z,3600,10,1,,,"])
    import_folder(tmp_path)
    assert hours("petsite")[0].bin_start.year == 2023
