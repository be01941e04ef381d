"""The evaluation measures correctly: scores, baselines, groups, report."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.engine.archetypes import Archetypes
from apps.engine.evaluation.baselines import baselines
from apps.engine.evaluation.scoring import missed, pinball, share_closed
from apps.engine.simulation.young import BETTER, WORSE, YOUNG_FAMILIES, simulate_young, young_generator


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
        assert not {"\n# Edges\n", "\n# Composite\n"} & {f"\n{line}\n" for line in text.splitlines()}
        assert (tmp_path / name / "reliability.svg").read_text().startswith("<svg")
    assert tables[0] == tables[1]
    assert set(tables[0]["families"]) == {"independent", "trend"}
    assert tables[0]["overall"]["with_number"] == 6
    assert (tables[0]["edges"], tables[0]["composite"], tables[0]["latency"]) == ({}, {}, {})
    assert tables[0]["young"] == {}


def test_dependencies_have_their_sections_whatever_the_number_of_processes(tmp_path: Path) -> None:
    tables = []
    for processes in (1, 2):
        said = StringIO()
        out = tmp_path / str(processes)
        call_command(
            "evaluate",
            families="independent,edges,composite",
            services_per_family=6,
            seed=4,
            out=out,
            processes=processes,
            stdout=said,
        )
        document = json.loads((out / "report.json").read_text())
        assert "; for edges 12; for composites 12 graphs" in document.pop("about")["services"]
        tables.append(document)
        _, edges, composite = said.getvalue().splitlines()
        assert "q from calls over the edge" in edges
        assert "h from target series" in edges
        assert "12 graphs beyond 3 standard errors" in composite
        text = (out / "report.md").read_text()
        assert text.index("\n# Edges\n") < text.index("\n# Composite\n")
        assert text.count("| q from ") == text.count("| h from ") == 2
        assert text.count("| enumerated | ") == text.count("| sampled | ") == 1
        assert "| chance alone | | 0 | 1 | 31.73 % | 4.55 % | 0.27 % | | |" in text
    assert tables[0] == tables[1]
    assert set(tables[0]["edges"]) == {
        "q_from_calls",
        "q_from_traffic",
        "h_from_edge_series",
        "h_from_target_series",
    }
    sizes = [row["edges"] for row in tables[0]["edges"].values()]
    assert len(set(sizes)) == 1
    assert sizes[0] >= 12
    assert tables[0]["composite"]["graphs"] == 12
    assert tables[0]["composite"]["methods"]["sampled"]["nodes"] >= 3 * 12


def test_every_share_says_how_far_chance_may_carry_it(tmp_path: Path) -> None:
    call_command("evaluate", families="step,trend", services_per_family=2, seed=4, out=tmp_path, processes=1)
    document = json.loads((tmp_path / "report.json").read_text())
    # The square root of p (1 - p) / 4.
    assert document["reliability_error"] == [0.04975, 0.10897, 0.2]
    assert document["interval_coverage_error"] == 0.15
    text = (tmp_path / "report.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| block bootstrap, 24 h | "))
    assert [cell.split(" ± ")[1] for cell in row.strip("| ").split(" | ")[1:]] == ["5.0", "10.9", "20.0"]
    assert text.count(" % ± 15.0") == 3


def test_the_command_refuses_a_family_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no family happy"):
        call_command("evaluate", families="happy", out=tmp_path)


def test_services_in_their_first_week_have_a_section_of_their_own(tmp_path: Path) -> None:
    tables = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        call_command(
            "evaluate",
            families="independent,young",
            services_per_family=4,
            seed=4,
            out=out,
            processes=processes,
            stdout=StringIO(),
        )
        document = json.loads((out / "report.json").read_text())
        about = document.pop("about")
        assert about["services"] == "4 simulated, of 1 kinds; in their first week 12"
        assert "young ones 1 to 6 days" in about["shown"]
        tables.append(document)
    assert tables[0] == tables[1]
    assert set(tables[0]["families"]) == {"independent"}, "they are not among the others"
    young = tables[0]["young"]
    assert list(young["families"]) == list(YOUNG_FAMILIES)
    assert all(row["services"] == 4 for row in young["families"].values())
    assert sum(row["services"] for row in young["groups"]["history"].values()) <= 8
    text = (tmp_path / "1" / "report.md").read_text()
    section = text[text.index("\n# The first week\n") :]
    assert section.count("| family: young") == 3
    assert section.count("| this engine |") == 4


def test_who_is_far_off_its_kind_really_is() -> None:
    archetypes = Archetypes.built_in()
    for number in range(40):
        for family, low, high in ((WORSE, 2.0, 400.0), (BETTER, 1 / 400.0, 0.5)):
            service = simulate_young(young_generator(8, family, number), family, "svc")
            typical = 1 - archetypes.get(service.service.archetype).typical_availability
            futures = service.futures(np.random.default_rng(number), 200)
            assert low <= float(futures.mean()) / typical <= high or float(futures.mean()) > 0.3
            counts = service.service.counts
            assert counts is not None
            assert 24 <= counts.total.size < 7 * 24
