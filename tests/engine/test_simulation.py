"""Simulated services: reproducible, plausible, and with a correct oracle."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.simulation.fleet import EXTRA, FAMILIES
from tests.engine.samples import simulate_fleet


@pytest.mark.parametrize("family", [*FAMILIES, *EXTRA])
def test_a_service_depends_on_its_seed_family_and_number_alone(family: str) -> None:
    alone = list(simulate_fleet(3, 2, [family]))[1]
    together = [each for each in simulate_fleet(3, 2) if each.family == family] or [alone, alone]
    for one, other in ((alone, together[1]),):
        assert one.service.counts is not None
        assert other.service.counts is not None
        np.testing.assert_array_equal(one.service.counts.bad, other.service.counts.bad)
        np.testing.assert_array_equal(one.future_bad, other.future_bad)


@pytest.mark.parametrize("family", [*FAMILIES, *EXTRA])
def test_no_more_requests_fail_than_are_made(family: str) -> None:
    for simulated in simulate_fleet(5, 4, [family]):
        counts = simulated.service.counts
        assert counts is not None
        known = np.isfinite(counts.total)
        assert (counts.bad[known] <= counts.total[known]).all()
        assert (counts.bad[known] >= 0).all()
        assert (simulated.future_bad <= simulated.future_total).all()
        assert simulated.future_total.size == 28 * 24
        assert counts.total.size == (counts.total.size // 24) * 24


def test_new_services_have_a_week_to_a_month_of_history() -> None:
    sizes = [
        each.service.counts.total.size // 24 for each in simulate_fleet(1, 20, ["new"]) if each.service.counts
    ]
    assert 7 <= min(sizes) < max(sizes) <= 29


def test_the_oracles_quantile_is_exceeded_as_often_as_it_says() -> None:
    services = list(simulate_fleet(2, 12, [name for name in FAMILIES if name != "new"]))
    ranks = [
        float((each.futures(np.random.default_rng(9), 200) < each.unavailability).mean()) for each in services
    ]
    above = np.mean(np.array(ranks) > 0.8)
    assert above == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / len(ranks)))
