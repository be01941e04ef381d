"""Of several accounts of the same requests, each hour is counted once, from the fullest."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.counts.choosing import DAY, Account, choose

HOUR = 3600
START = 20_000 * DAY
seeds = st.integers(0, 10**9)


def hours(first: int, last: int, count: float) -> dict[int, float]:
    return {START + hour * HOUR: count for hour in range(first, last)}


def test_the_first_is_taken_where_both_count_the_same() -> None:
    choice = choose([Account("spans", hours(0, 48, 98.0)), Account("counters", hours(0, 48, 100.0))])
    assert set(choice.taken.values()) == {"spans"}
    assert choice.disagreements == []


def test_sampled_spans_take_nothing_from_counters_and_fill_what_these_lack() -> None:
    choice = choose([Account("spans", hours(30, 60, 1.0)), Account("counters", hours(0, 50, 100.0))])
    assert {at for at, name in choice.taken.items() if name == "spans"} == set(hours(50, 60, 1.0))
    assert {(one.taken, one.other) for one in choice.disagreements} == {("counters", "spans")}


def test_an_hour_that_the_chosen_one_threw_out_is_taken_from_no_other() -> None:
    bad_hour = START + 5 * HOUR
    full = {at: count for at, count in hours(0, 24, 10.0).items() if at != bad_hour}
    choice = choose([Account("a", full, frozenset({bad_hour})), Account("b", hours(0, 24, 10.0))])
    assert choice.taken[bad_hour] == "a"


@given(seeds, st.integers(1, 4), st.integers(1, 6))
def test_every_hour_is_taken_once_from_one_that_has_it(seed: int, families: int, days: int) -> None:
    source = random.Random(seed)
    accounts = []
    for number in range(families):
        rate = source.choice([1.0, 10.0, 1000.0])
        known = {
            at: rate * source.uniform(0.9, 1.1)
            for at in hours(0, 24 * days, 1.0)
            if source.random() < source.choice([0.3, 0.9, 1.0])
        }
        thrown_out = frozenset(at for at in known if source.random() < 0.05)
        kept = {at: value for at, value in known.items() if at not in thrown_out}
        accounts.append(Account(f"family-{number}", kept, thrown_out))
    choice = choose(accounts)
    by_name = {account.name: account for account in accounts}
    every = set().union(*({*account.totals, *account.left_out} for account in accounts))
    assert choice.taken.keys() == every
    for at, name in choice.taken.items():
        assert at in by_name[name].totals or at in by_name[name].left_out


@given(seeds, st.integers(1, 5), st.floats(0.001, 0.7))
def test_the_fuller_account_wins_whatever_the_order(seed: int, days: int, share: float) -> None:
    source = random.Random(seed)
    full = {at: source.uniform(50, 150) for at in hours(0, 24 * days, 1.0)}
    sampled = {at: value * share for at, value in full.items()}
    accounts = [Account("full", full), Account("sampled", sampled)]
    source.shuffle(accounts)
    assert set(choose(accounts).taken.values()) == {"full"}


@given(seeds, st.floats(1.3, 1000))
def test_the_same_series_by_another_label_fill_and_never_win(seed: int, more: float) -> None:
    """A job's requests are those of all its services: larger, and no fuller account of one of them."""
    source = random.Random(seed)
    by_service = {at: source.uniform(50, 150) for at in hours(0, 40, 1.0)}
    by_job = dict.fromkeys(hours(0, 60, 1.0), more * 100)
    choice = choose(
        [
            Account("http", by_service, metric="http_requests_total", label="service"),
            Account("http-job", by_job, metric="http_requests_total", label="job"),
        ]
    )
    assert {at for at, name in choice.taken.items() if name == "http"} == by_service.keys()
    assert choice.disagreements == []
