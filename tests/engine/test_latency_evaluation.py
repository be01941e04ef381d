"""The evaluation of latency: shares, losses, groups, and its section of the report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.engine.evaluation.latency import LatencyOutcome, evaluate_latency_numbers
from apps.engine.evaluation.latency_report import latency_markdown
from apps.engine.evaluation.latency_summary import summarise_latency


def outcome(actual: float, said: float = 100.0) -> LatencyOutcome:
    tiers = (said, said, said)
    return LatencyOutcome(
        family="step",
        which="p95_ms",
        scheme="coarse",
        regime="steady",
        days=90.0,
        coverage=1.0,
        window_requests=1e5,
        actual=actual,
        exact=actual * 0.9,
        futures=(actual,),
        predictions={
            "past_windows": tiers,
            "block_bootstrap": (200.0,) * 3,
            "engine": tiers,
            "oracle": (100.0,) * 3,
        },
        intervals=((90.0, 110.0),) * 3,
        top_ms=1_000.0,
    )


def test_a_reading_on_the_threshold_counts_neither_as_kept_nor_as_missed() -> None:
    tables: Any = summarise_latency([outcome(100.0)] * 19 + [outcome(120.0)])
    balanced = tables["p95_ms"]["overall"]["balanced"]
    assert (balanced["missed"], balanced["missed_or_met_exactly"]) == (0.05, 1.0)
    assert balanced["within"]
    assert tables["p95_ms"]["overall"]["aggressive"]["within"]
    assert not tables["p95_ms"]["overall"]["conservative"]["within"]


def test_the_gap_is_closed_where_the_engine_says_what_the_oracle_says() -> None:
    tables: Any = summarise_latency([outcome(100.0), outcome(90.0)])
    assert tables["p95_ms"]["gap_closed"]["balanced"] == pytest.approx(1.0)
    assert tables["p95_ms"]["interval_coverage"]["balanced"] == 1.0


def test_services_are_evaluated_alike_whatever_else_is() -> None:
    together = evaluate_latency_numbers((3, ["step", "trend"], [0]))
    alone = evaluate_latency_numbers((3, ["trend"], [0]))
    assert together[2:] == alone
    assert [each.which for each in alone] == ["p95_ms", "p99_ms"]
    assert {"engine", "oracle", "block_bootstrap"} <= set(alone[0].predictions)
    assert "## p99" in latency_markdown(summarise_latency(together))


def test_the_command_adds_a_section_about_latency(tmp_path: Path) -> None:
    call_command(
        "evaluate", families="independent,latency", services_per_family=1, seed=4, out=tmp_path, processes=1
    )
    document = json.loads((tmp_path / "report.json").read_text())
    assert set(document["latency"]) == {"p95_ms", "p99_ms"}
    assert document["latency"]["p95_ms"]["overall"]["services"] == 9
    assert set(document["families"]) == {"independent"}
    text = (tmp_path / "report.md").read_text()
    assert "\n# Latency\n" in text
    assert re.search(r"was slower in [\d.]+ ± 3.3 % / [\d.]+ ± 7.3 % / [\d.]+ ± 13.3 %", text)
    with pytest.raises(CommandError, match="edges and latency can only be evaluated beside at least one"):
        call_command("evaluate", families="latency,edges", out=tmp_path)
