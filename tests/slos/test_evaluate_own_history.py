"""``manage.py evaluate --from DIR``: recommendations held against windows of one's own past."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.slos.evaluation.recorded import inputs
from apps.telemetry.recording import read_recording

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
type Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write files of rows below their headers, and return where they are."""

    def write(**files: list[str]) -> Path:
        place = tmp_path / "own"
        place.mkdir(exist_ok=True)
        for name, rows in files.items():
            (place / f"{name}.csv").write_text("\n".join([HEADERS[name], *rows]) + "\n")
        return place

    return write


HEADERS = {
    "services": "service_id,team,criticality,external,published_sla",
    "dependencies": "source,target,mode,criticality,calls_per_request",
    "sli": "service_id,timestamp,step_seconds,total,bad",
    "edge_sli": "source,target,timestamp,step_seconds,total,bad",
    "latency_buckets": "service_id,timestamp,step_seconds,le_ms,count",
}


def hours(days: int, name: str = "shop", *, unix: bool = False) -> list[str]:
    generator = np.random.default_rng(8)
    moments = [START + timedelta(hours=hour) for hour in range(days * 24)]
    return [
        f"{name},{int(at.timestamp()) if unix else at.isoformat()},3600,2000,{generator.binomial(2_000, 1e-3)}"
        for at in moments
    ]


def histograms(days: int, name: str = "shop") -> list[str]:
    generator = np.random.default_rng(9)
    rows = []
    for hour in range(days * 24):
        at = int((START + timedelta(hours=hour)).timestamp())
        counts = np.cumsum(generator.multinomial(2_000, [0.6, 0.3, 0.08, 0.02]))
        rows += [
            f"{name},{at},3600,{bound},{count}"
            for bound, count in zip(("50", "100", "250", "+Inf"), counts, strict=True)
        ]
    return rows


def report(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    call_command("evaluate", source=source, out=out, **options)
    document: dict[str, Any] = json.loads((out / "report.json").read_text())
    return document


@pytest.mark.parametrize("unix", [False, True])
def test_it_is_held_out_window_by_window(folder: Folder, tmp_path: Path, unix: bool) -> None:
    document = report(folder(sli=hours(120, unix=unix)), tmp_path / "out")
    assert document["overall"]["services"] == document["overall"]["with_number"] == 2
    assert document["gap_closed"] == {"conservative": None, "balanced": None, "aggressive": None}
    assert "oracle" not in document["pinball"]
    assert (document["edges"], document["composite"], document["latency"]) == ({}, {}, {})


def test_latency_is_held_out_too_where_there_are_histograms(folder: Folder, tmp_path: Path) -> None:
    source = folder(sli=hours(120), latency_buckets=histograms(120))
    document = report(source, tmp_path / "out")
    assert document["latency"]["p95_ms"]["overall"]["with_number"] == 2
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## p95" in text
    assert "for latency 2" in text
    assert "oracle's threshold" not in text


def test_dependencies_count(folder: Folder) -> None:
    edge = [row.replace("shop", "shop,db", 1) for row in hours(3)]
    recording = read_recording(
        folder(
            services=["shop,a,high,,", "mail,,low,true,0.999"],
            dependencies=["shop,db,sync,hard,", "shop,mail,async,soft,0.5", "db,disk,sync,hard,"],
            sli=[*hours(3), *hours(3, "db")],
            edge_sli=edge,
        ),
        now=NOW,
    )
    db, shop = inputs(recording)
    assert (db.service_id, shop.service_id, shop.criticality) == ("db", "shop", "high")
    to_db, to_mail = shop.dependencies
    assert to_db.edge is not None
    assert to_db.target is not None
    assert to_db.edge.total.sum() == to_db.target.total.sum() == 3 * 24 * 2_000
    assert to_db.depends_on == ("disk",)
    assert (to_mail.mode, to_mail.is_external, to_mail.published_sla) == ("async", True, 0.999)
    assert (to_mail.calls_per_request, to_mail.edge) == (0.5, None)


def test_fine_bins_are_summed_by_the_hour_and_gaps_stay_gaps(folder: Folder) -> None:
    at = int(START.timestamp())
    rows = [f"shop,{at + 300 * number},300,10,1" for number in range(12)] + [f"shop,{at + 7_200},3600,7,0"]
    found = read_recording(folder(sli=rows), now=NOW).counts["shop"]
    assert (found.start, found.step_seconds) == (at, 3_600)
    np.testing.assert_array_equal(found.total, [120, np.nan, 7])
    np.testing.assert_array_equal(found.bad, [12, np.nan, 0])


def test_days_stay_days_where_nothing_is_finer(folder: Folder, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    rows = [
        f"shop,{(START + timedelta(days=day)).date()},86400,50000,{generator.binomial(50_000, 1e-3)}"
        for day in range(120)
    ]
    source = folder(sli=rows)
    assert read_recording(source, now=NOW).counts["shop"].step_seconds == 86_400
    assert report(source, tmp_path / "out")["overall"]["with_number"] == 2


def test_histograms_are_summed_over_the_bounds_they_share(folder: Folder) -> None:
    at = int(START.timestamp())
    rows = [
        *(f"shop,{at},1800,{bound},{count}" for bound, count in (("50", 1), ("100", 2), ("+Inf", 3))),
        *(f"shop,{at + 1_800},1800,{bound},{count}" for bound, count in (("100", 4), ("+Inf", 5))),
    ]
    found = read_recording(folder(latency_buckets=rows), now=NOW).buckets["shop"]
    assert found.bounds_ms.tolist() == [100, np.inf]
    assert found.cumulative.tolist() == [[6, 8]]


def test_a_row_that_cannot_be_right_is_named(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(
        CommandError, match=r"Nothing was evaluated.*\n  sli.csv:3: bad: 9 failed of 7"
    ) as error:
        call_command(
            "evaluate",
            source=folder(sli=["shop,2026-01-01T00:00Z,3600,5,0", "shop,2026-01-01T01:00Z,3600,7,9"]),
            out=tmp_path / "x",
        )
    assert not (tmp_path / "x").exists()
    assert "imported" not in str(error.value)


def test_too_short_a_history_is_said_to_be(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="60 days of history"):
        call_command("evaluate", source=folder(sli=hours(3)), out=tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--seed", "1"], "--seed"),
        (["--families", "all"], "--families"),
        (["--services-per-family", "500"], "--services-per-family"),
        (["--seed", "2", "--families", "trend"], "--families and --seed"),
    ],
)
def test_what_only_a_simulation_has_is_refused(
    folder: Folder, tmp_path: Path, given: list[str], named: str
) -> None:
    source, out = folder(sli=hours(120)), tmp_path / "out"
    with pytest.raises(CommandError, match=f"^{named} cannot be combined with --from"):
        call_command("evaluate", "--from", str(source), "--out", str(out), *given)
    assert not out.exists()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"There is no folder {tmp_path / 'nowhere'}"):
        call_command("evaluate", source=tmp_path / "nowhere", out=tmp_path / "out")
