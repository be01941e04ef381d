"""The instrument measures right: scores, baselines, groups, report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.engine.evaluation.baselines import baselines
from apps.engine.evaluation.scoring import missed, pinball, share_closed


def test_a_window_without_failure_meets_a_target_that_allows_none() -> None:
    predicted = np.full(10, 1e-7)
    actual = np.array([0.0] * 9 + [1e-3])
    share = missed(predicted, actual, np.full(10, 1e5), 0.2)
    assert (share.below, share.at_or_below) == (0.1, 1.0)
    assert share.distance(0.2) == 0.0
    assert share.distance(0.05) == pytest.approx(0.05)


def test_pinball_loss_is_least_at_the_quantile() -> None:
    actual = np.random.default_rng(1).lognormal(-7, 1, 20_000)
    candidates = np.quantile(actual, [0.85, 0.9, 0.95, 0.97, 0.99])
    losses = [float(pinball(np.full(actual.size, each), actual, 0.05).mean()) for each in candidates]
    assert int(np.argmin(losses)) == 2


def test_the_gap_is_nothing_at_the_floor_and_all_at_the_oracle() -> None:
    assert share_closed(4.0, 4.0, 1.0) == 0.0
    assert share_closed(1.0, 4.0, 1.0) == 1.0
    assert share_closed(1.0, 1.0, 1.0) is None


def test_clopper_pearson_is_that_of_the_book() -> None:
    # Clopper and Pearson 1934: no failure in 100, upper 95 % limit 1 - 0.05^(1/100).
    total, bad = np.full(100, 1.0), np.zeros(100)
    found = baselines(total, bad, (0.05,), 24, np.random.default_rng(1))
    assert found["clopper_pearson"][0] == pytest.approx(1 - 0.05**0.01, rel=1e-9)


def test_days_resampled_as_a_whole_vary_more_than_hours_where_days_differ() -> None:
    total = np.full(90 * 24, 1_000.0)
    bad = np.repeat(np.random.default_rng(2).gamma(0.2, 5.0, 90), 24)
    found = baselines(total, bad, (0.01,), 28 * 24, np.random.default_rng(1))
    assert found["block_bootstrap"][0] > 1.2 * found["iid_bootstrap"][0]


def test_the_command_writes_the_same_report_for_the_same_seed(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        call_command(
            "evaluate",
            families="independent,trend",
            services_per_family=3,
            seed=4,
            out=tmp_path / name,
            processes=1,
        )
        document = json.loads((tmp_path / name / "report.json").read_text())
        assert set(document.pop("about")) == {"services", "shown", "seed", "commit", "time"}
        tables.append(document)
        text = (tmp_path / name / "report.md").read_text()
        assert "| **all** | 6 |" in text
        assert "block bootstrap" in text
        assert (tmp_path / name / "reliability.svg").read_text().startswith("<svg")
    assert tables[0] == tables[1]
    assert set(tables[0]["families"]) == {"independent", "trend"}
    assert tables[0]["overall"]["with_number"] == 6


def test_the_command_refuses_a_family_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no family happy"):
        call_command("evaluate", families="happy", out=tmp_path)
