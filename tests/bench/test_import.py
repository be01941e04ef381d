"""How long an import of 3.6 million rows takes: 5,000 services, 30 days of hours, all three percentiles."""

from __future__ import annotations

import os
import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.catalog.models import Service
from apps.telemetry import series
from apps.telemetry.models import SliDay, SliHour
from tests.telemetry.folders import import_folder

SERVICES = int(os.environ.get("BENCH_SERVICES", "5000"))
HOURS = 720
BAR_SECONDS = 90
BAR_MB = 600
END = datetime(2026, 10, 31, tzinfo=UTC)


def write_fleet(folder: Path) -> int:
    """Write the files; return the rows of sli.csv."""
    start = int(END.timestamp()) - HOURS * 3600
    with (folder / "services.csv").open("w") as out:
        out.write("service_id,team,criticality,external,published_sla\n")
        out.writelines(f"service-{number:05d},team-{number % 40},high,false,\n" for number in range(SERVICES))
    with (folder / "sli.csv").open("w") as out:
        out.write("service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms\n")
        for number in range(SERVICES):
            out.writelines(
                f"service-{number:05d},{start + hour * 3600},3600,{5000 + (number * hour) % 977},"
                f"{(number + hour) % 7},{20 + hour % 5}.5,{80 + hour % 9}.25,{200 + hour % 11}.125\n"
                for hour in range(HOURS)
            )
    return SERVICES * HOURS


def peak_mb() -> float:
    """The most memory that this process has ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.django_db
def test_import_of_a_month_of_a_large_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_fleet(tmp_path)
    began = time.perf_counter()
    result = import_folder(tmp_path, now=END)
    first = time.perf_counter() - began
    import_mb = peak_mb()
    began = time.perf_counter()
    import_folder(tmp_path, now=END)
    again = time.perf_counter() - began
    pks = list(Service.objects.values_list("pk", flat=True))
    began = time.perf_counter()
    counts = series.load_counts(pks, END - timedelta(days=28), END)
    counts_seconds = time.perf_counter() - began
    began = time.perf_counter()
    series.load_percentiles(pks, END - timedelta(days=28), END)
    percentiles_seconds = time.perf_counter() - began
    assert len(counts) == SERVICES
    assert result.stored.hours == SliHour.objects.count() == rows
    assert result.stored.days == SliDay.objects.count() == rows // 24
    with capsys.disabled():
        print()
        print(f"{'import':<28}{'seconds':>10}{'rows/s':>12}{'bar':>8}")
        print(f"{f'{rows:,} rows, new':<28}{first:>10.1f}{rows / first:>12,.0f}{BAR_SECONDS:>8}")
        print(f"{'the same again':<28}{again:>10.1f}{rows / again:>12,.0f}{BAR_SECONDS:>8}")
        loaded = SERVICES * 672
        for what, seconds in (
            ("28 days of counts", counts_seconds),
            ("… of percentiles", percentiles_seconds),
        ):
            print(f"{what:<28}{seconds:>10.1f}{loaded / seconds:>12,.0f}")
        print(
            f"peak memory of the process: importing {import_mb:,.0f} MB (bar {BAR_MB}), "
            f"then loading {peak_mb():,.0f} MB"
        )
