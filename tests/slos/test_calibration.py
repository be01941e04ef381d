"""What pages say of the calibration is the evaluation report's, to the digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.slos.calibration import SHIPPED, TIERS, calibration, condensed, main, written
from apps.slos.presenting.certainty import KINDS

REPORT = Path(__file__).resolve().parents[2] / "docs" / "evaluation" / "report.json"


def group(services: int, *missed: float) -> dict[str, object]:
    tiers = {
        tier: {"missed": share, "standard_error": 0.01, "missed_or_met_exactly": share, "within": True}
        for tier, share in zip(TIERS, missed, strict=True)
    }
    return {"services": services + 3, "with_number": services, **tiers}


def report() -> dict[str, object]:
    return {
        "about": {
            "services": "30 simulated",
            "shown": "90 days",
            "seed": "1",
            "commit": "abc",
            "time": "1 s",
        },
        "overall": group(30, 0.01, 0.05, 0.2),
        "groups": {"regime": {"steady": group(20, 0.0, 0.04, 0.18)}, "history": {"all": group(30, 1, 1, 1)}},
    }


def test_what_is_shipped_is_what_the_committed_report_says() -> None:
    if not REPORT.exists():
        pytest.skip("the evaluation report is not in docs/evaluation yet")
    assert SHIPPED.read_text() == written(json.loads(REPORT.read_text())), (
        "make it anew: python -m apps.slos.calibration docs/evaluation/report.json"
    )


def test_every_regime_that_is_shipped_has_its_words() -> None:
    assert set(calibration().regimes) <= set(KINDS)
    assert all(group.services > 0 for group in calibration().regimes.values())


def test_of_a_report_the_regimes_and_the_whole_are_kept() -> None:
    found = condensed(report())
    assert found["regimes"]["steady"]["services"] == 20, "those that got a number"
    assert found["regimes"]["steady"]["missed"] == {"conservative": 0.0, "balanced": 0.04, "aggressive": 0.18}
    assert found["overall"]["missed"]["balanced"] == 0.05
    assert "time" not in found["about"]


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.slos.calibration.SHIPPED", tmp_path / "calibration.json")
    calibration.cache_clear()
    (tmp_path / "report.json").write_text(json.dumps(report()))
    assert main([str(tmp_path / "report.json")]) == 0
    assert calibration().regimes["steady"].missed["balanced"] == 0.04
    calibration.cache_clear()
    assert main([]) == 2
