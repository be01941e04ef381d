"""What pages say of the calibration is that of the two evaluation reports, to the digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.engine.forecast.regimes import REGIMES
from apps.slos.evaluation.calibration import SHIPPED, TIERS, calibration, condensed, main, written
from apps.slos.presenting.certainty import KINDS

EVALUATION = Path(__file__).resolve().parents[2] / "docs" / "evaluation"
REPORTS = (EVALUATION / "report.json", EVALUATION / "real-histories.json")


def group(services: int, *missed: float) -> dict[str, object]:
    tiers: dict[str, object] = {
        tier: {"missed": share, "standard_error": 0.01, "missed_or_met_exactly": share, "within": True}
        for tier, share in zip(TIERS, missed, strict=True)
    }
    return {"services": services + 3, "with_number": services, **tiers}


def real() -> Any:
    about = {"pages": 3, "sites": 5, "windows": 40, "shown": "60 to 90 days", "judged": "each by the others"}
    return {"about": about, "regime": "up_or_down"} | group(40, 0.02, 0.06, 0.21)


def report() -> Any:
    return {
        "about": {
            "services": "30 simulated; for latency 9",
            "shown": "90 days",
            "seed": "1",
            "commit": "abc",
            "time": "1 s",
        },
        "overall": group(30, 0.01, 0.05, 0.2),
        "families": {"independent": group(15, 0.01, 0.05, 0.2), "bursts": group(15, 0.01, 0.05, 0.2)},
        "young": {"families": {"young": group(12, 0.02, 0.07, 0.22)}},
        "groups": {"regime": {"steady": group(20, 0.0, 0.04, 0.18)}, "history": {"all": group(30, 1, 1, 1)}},
    }


def test_what_is_shipped_is_what_the_two_committed_reports_say() -> None:
    found, histories = (json.loads(path.read_text()) for path in REPORTS)
    assert SHIPPED.read_bytes() == written(found, histories).encode(), (
        "make it anew: python -m apps.slos.evaluation.calibration docs/evaluation/report.json "
        "docs/evaluation/real-histories.json"
    )


def test_every_regime_of_the_engine_has_its_figures_and_its_words() -> None:
    assert set(calibration().regimes) == set(REGIMES) == set(KINDS)
    assert all(group.cases > 0 for group in calibration().regimes.values())


def test_only_sites_that_a_clock_asks_are_real() -> None:
    assert [name for name, group in calibration().regimes.items() if group.is_real] == ["up_or_down"]
    assert not calibration().overall.is_real


def test_the_table_of_real_histories_ends_with_the_figures_that_are_shipped() -> None:
    (whole,) = [
        line
        for line in (EVALUATION / "real-histories.md").read_text().splitlines()
        if line.startswith("| **all** |")
    ]
    about, group = calibration().real, calibration().regimes["up_or_down"]
    shares = " / ".join(f"{100 * group.missed[tier]:.1f}" for tier in TIERS)
    assert whole.startswith(
        f"| **all** | {int(about['sites']):,} | {int(about['windows']):,} | {shares} % |"
    ), whole


def test_of_a_report_the_regimes_and_the_whole_are_kept() -> None:
    found = condensed(report(), real())
    assert found.regimes["steady"].cases == 20, "those that got a number"
    assert found.regimes["steady"].missed == {"conservative": 0.0, "balanced": 0.04, "aggressive": 0.18}
    assert found.overall.missed["balanced"] == 0.05
    assert found.young.missed["balanced"] == 0.07
    assert "time" not in found.about


def test_of_real_histories_the_regime_is_kept_and_how_it_was_judged() -> None:
    found = condensed(report(), real())
    assert found.regimes["up_or_down"].cases == 40
    assert [name for name, each in found.regimes.items() if each.is_real] == ["up_or_down"]
    assert found.real["judged"] == "each by the others"


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.slos.evaluation.calibration.SHIPPED", tmp_path / "calibration.json")
    calibration.cache_clear()
    (tmp_path / "report.json").write_text(json.dumps(report()))
    (tmp_path / "real.json").write_text(json.dumps(real()))
    assert main([str(tmp_path / "report.json"), str(tmp_path / "real.json")]) == 0
    assert calibration().regimes["steady"].missed["balanced"] == 0.04
    calibration.cache_clear()
    assert main([str(tmp_path / "report.json")]) == 2
