"""The generator: the same bin always comes out the same, and the numbers tell the story."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.demo.description import fleet
from apps.demo.generator import Observations, simulate
from apps.demo.process import Hours
from tests.demo.fleets import DAY, HOUR, anchor, at

FIELDS = ("total", "bad", "median_ms", "edge_total", "edge_bad")


@lru_cache(maxsize=1)
def story() -> Observations:
    """A year up to now."""
    return simulate(fleet(), anchor=anchor(), start=at(0) - 365 * DAY, end=at(0))


def row(service_id: str) -> int:
    return fleet().service_ids.index(service_id)


def edge(source: str, target: str) -> int:
    return next(n for n, call in enumerate(fleet().calls) if (call.source, call.target) == (source, target))


def availability(service_id: str, first: int | None = -28, last: int | None = None) -> float:
    """Event-weighted availability from one day to another, counted from now."""
    days = slice(first * 24 if first else None, last * 24 if last else None)
    total, bad = story().total[row(service_id), days], story().bad[row(service_id), days]
    return float(1 - np.nansum(bad) / np.nansum(total))


@settings(max_examples=15, deadline=None)
@given(start=st.integers(-24 * 130, -2), length=st.integers(1, 200))
def test_a_piece_equals_the_same_part_of_the_whole(start: int, length: int) -> None:
    end = min(0, start + length)
    piece = simulate(fleet(), anchor=anchor(), start=at(start), end=at(end))
    for name in FIELDS:
        whole = getattr(story(), name)[:, start : end or None]
        np.testing.assert_array_equal(getattr(piece, name), whole, err_msg=name)


def test_extending_by_an_hour_equals_making_it_anew() -> None:
    later = simulate(fleet(), anchor=anchor(), start=at(-48), end=at(30))
    joined = [simulate(fleet(), anchor=anchor(), start=at(h), end=at(h + 1)) for h in range(-48, 30)]
    for name in FIELDS:
        together = np.concatenate([getattr(part, name) for part in joined], axis=1)
        np.testing.assert_array_equal(together, getattr(later, name), err_msg=name)


def test_the_story_does_not_depend_on_the_day_of_loading() -> None:
    """Only the weekdays move. A Wednesday four weeks on tells the same story to the request."""
    moved = simulate(fleet(), anchor=anchor() + 28 * DAY, start=at(-72) + 28 * DAY, end=at(0) + 28 * DAY)
    np.testing.assert_array_equal(moved.total, story().total[:, -72:])
    np.testing.assert_array_equal(moved.bad, story().bad[:, -72:])


def test_another_seed_tells_another_story() -> None:
    from dataclasses import replace

    other = simulate(replace(fleet(), seed=1), anchor=anchor(), start=at(-24), end=at(0))
    assert not np.array_equal(other.total, story().total[:, -24:])


def test_no_more_requests_fail_than_are_made() -> None:
    for total, bad in ((story().total, story().bad), (story().edge_total, story().edge_bad)):
        known = ~np.isnan(total)
        assert np.array_equal(known, ~np.isnan(bad))
        assert (bad[known] >= 0).all()
        assert (bad[known] <= total[known]).all()


def test_a_service_counts_what_its_callers_send() -> None:
    callers = [n for n, call in enumerate(fleet().calls) if call.target == "card-vault"]
    np.testing.assert_array_equal(story().total[row("card-vault")], story().edge_total[callers].sum(axis=0))


def test_calls_come_at_their_rate() -> None:
    number = edge("payments-api", "fraud-api")
    rate = np.nansum(story().edge_total[number]) / np.nansum(story().total[row("payments-api")])
    assert rate == pytest.approx(fleet().calls[number].per_request, rel=0.01)


def test_failures_travel_along_hard_edges() -> None:
    """In the hour in which the shared database fails most, its callers fail as hard as their calls."""
    worst = np.nanargmax(story().failing[row("payments-db")])
    met = story().failing[row("payments-db"), worst]
    assert met > 0.03
    for caller, hardness in (("payments-api", 0.98), ("card-vault", 0.2 * 0.7)):
        failed = story().bad[row(caller), worst] / story().total[row(caller), worst]
        assert failed == pytest.approx(hardness * met, rel=0.15)


def test_failures_do_not_travel_along_asynchronous_edges() -> None:
    bus, ledger = row("event-bus"), row("ledger")
    worst = np.nanargmax(story().failing[bus])
    assert story().failing[bus, worst] > 0.05
    assert story().failing[ledger, worst] < 0.01


def test_a_redundant_pair_fails_its_caller_less_than_either_alone() -> None:
    assert 1 - availability("payout-router", None) < 0.5 * (1 - availability("sepa-gw", None))
    assert 1 - availability("payout-router", None) < 0.5 * (1 - availability("sepa-gw-2", None))


def test_the_new_service_has_twelve_days_of_history() -> None:
    known = ~np.isnan(story().total[row("instant-pay")])
    born = story().start[known][0]
    assert born == anchor() - 12 * DAY
    assert known[story().start >= born].all()


def test_one_service_has_tens_of_requests_in_a_window() -> None:
    assert 20 <= np.nansum(story().total[row("tax-filing"), -28 * 24 :]) < 300


def test_a_gap_is_no_data_rather_than_zero() -> None:
    hours = np.isnan(story().total[row("ledger")]).sum()
    assert hours == 9
    assert np.isnan(story().edge_total[edge("payments-api", "ledger")]).sum() == 9


def test_traffic_swings_with_the_day_and_the_weekend() -> None:
    hours = Hours.between(anchor(), int(story().start[0]), int(story().start[-1]) + HOUR)
    office = story().total[row("fx-rates")]
    weekday = (hours.anchor_weekday + hours.day) % 7
    night, noon = hours.relative % 24 == 2, hours.relative % 24 == 13
    assert np.nanmean(office[noon & (weekday < 5)]) > 2 * np.nanmean(office[night & (weekday < 5)])
    assert np.nanmean(office[noon & (weekday < 5)]) > 1.3 * np.nanmean(office[noon & (weekday >= 5)])


def test_payments_api_is_better_than_its_slo_and_a_friday_deploy_shows() -> None:
    assert 0.9994 < availability("payments-api") < 0.9998
    hours = slice(-62 * 24, -50 * 24)
    failed = story().bad[row("payments-api"), hours] / story().total[row("payments-api"), hours]
    worst = story().start[hours][np.nanargmax(failed)]
    assert np.nanmax(failed) > 50 * np.nanmedian(failed)
    assert datetime.fromtimestamp(int(worst), UTC).strftime("%A %H") in (
        "Friday 14",
        "Friday 15",
    )


def test_checkout_web_has_spent_its_budget_and_burns_on() -> None:
    assert availability("checkout-web", -120, -28) > 0.995
    assert 0.992 < availability("checkout-web") < 0.995
    assert availability("checkout-web", -1) < 0.99


def test_ledger_is_steady() -> None:
    assert availability("ledger") > 0.9999
    assert availability("ledger", None) > 0.9998


def test_search_drifts() -> None:
    before, now = 1 - availability("search", -60, -22), 1 - availability("search", -3)
    assert now > 1.7 * before
    medians = story().median_ms[row("search")]
    assert medians[-72:].mean() > 1.4 * medians[-40 * 24 : -22 * 24].mean()


def test_bad_days_are_rare_and_severe() -> None:
    """Incidents have a heavy tail: the worst one in a hundred hours hold most of what failed."""
    bad = np.sort(np.nan_to_num(story().bad[row("sepa-gw")]))
    assert bad[-len(bad) // 100 :].sum() > 0.3 * bad.sum()


def test_an_anchor_that_is_no_midnight_is_refused() -> None:
    with pytest.raises(ValueError, match="midnight"):
        Hours.between(anchor() + HOUR, at(0), at(1))
