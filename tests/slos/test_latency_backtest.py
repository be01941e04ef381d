"""What a latency tier would have cost, in the document, in the API, on the page and in the dialog alike."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.slos.impact import risk
from apps.slos.models import Recommendation
from apps.slos.objectives.sli_events import LATENCY_DAYS
from apps.slos.presenting.tiers import nothing_judged
from tests.pages import client_of, text_of
from tests.slos.conftest import compute, current, full_hour, make_hours, make_latency, make_service

SLI = "latency_p95"


def page(service: Service) -> Any:
    return client_of("sre_admin").get(reverse("service", args=[service.service_id]))


def latency_panel(service: Service) -> str:
    text: str = page(service).content.decode()
    begin = text.index('id="latency-offers"')
    return text[begin : text.index("</section>", begin)]


@pytest.fixture
def search(shop: Team) -> Service:
    """A service of 70 days that was slow for a fortnight, 20 days ago."""
    service = make_service("search", team=shop)
    end = make_hours(service, days=70)
    make_latency(
        service, days=70, end=end, slow=lambda ago: 0.06 if 20 * 24 < ago <= 34 * 24 else 0.02 + ago % 7 / 1e3
    )
    compute(service)
    return service


def set_threshold(service: Service, threshold: float, **backtest: Any) -> None:
    row = current(service, SLI)
    document = dict(row.document)
    tiers = {name: dict(tier) for name, tier in document["tiers"].items()}
    tiers["aggressive"] |= {"target": threshold, "backtest": tiers["aggressive"]["backtest"] | backtest}
    document["tiers"] = tiers
    Recommendation.objects.filter(pk=row.pk).update(document=document, version=row.version + 1)


def test_a_tier_and_the_dialog_about_the_same_threshold_count_the_same_windows(search: Service) -> None:
    from apps.engine.latency.backtest import add_backtests
    from apps.engine.latency.thresholds import from_buckets
    from apps.slos.making.inputs import load

    until = full_hour()
    as_of = int(until.timestamp())
    series = load([search], until)[0].buckets
    counted = set()
    for which, sli_type, share in (("p95_ms", SLI, 0.95), ("p99_ms", "latency_p99", 0.99)):
        for threshold in (80.0, 150.0, 187.5, 200.0, 230.0, 300.0, 420.0):
            tier: dict[str, Any] = {"target": threshold}
            documents: Any = {"p95_ms": {"tiers": None}, "p99_ms": {"tiers": None}}
            documents[which] = {"tiers": {"balanced": tier}}
            add_backtests(documents, from_buckets(series, as_of), series, None, window_days=28, as_of=as_of)
            found = tier["backtest"]
            asked = risk.missed_before(search, sli_type, share, threshold, "requests", 28)
            assert (found["missed"], found["of"]) == asked
            assert found["of"] == (70 - 28) // 14 + 1
            counted.add(found["missed"])
    assert counted >= {0, 4}
    assert counted - {0, 4}, "some thresholds are missed in the slow windows alone"


def test_the_dialog_looks_as_far_back_as_the_tiers(shop: Team) -> None:
    service = make_service("attic", team=shop)
    make_latency(service, days=110, end=make_hours(service, days=110))
    compute(service)
    found = current(service, SLI).document["tiers"]["balanced"]
    assert found["backtest"]["of"] == (LATENCY_DAYS - 28) // 14 + 1
    assert risk.missed_before(service, SLI, 0.95, found["target"], "requests", 28)[1] == 5


def test_a_fortnight_that_was_slow_shows_in_the_strip_of_a_threshold_below_it(search: Service) -> None:
    windows = current(search, SLI).document["tiers"]["aggressive"]["backtest"]["windows"]
    worst = max(one["observed"] for one in windows)
    windows = [one | {"missed": one["observed"] == worst} for one in windows]
    set_threshold(search, worst - 1, windows=windows)
    panel = latency_panel(search)
    assert panel.count('class="strip"') == 3
    assert panel.count('class="miss"') >= 1
    words = text_of(page(search))
    assert f"{worst:.0f}\u202fms, missed" in panel
    assert "past windows of 28 days, two weeks apart" in words


def test_the_strip_and_what_it_would_have_cost_stand_before_the_button(search: Service) -> None:
    panel = latency_panel(search)
    one = panel[panel.index('class="slim') :]
    places = [one.index(text) for text in ("data-strip", "past windows", "Would have cost", "Accept")]
    assert places == sorted(places)


def test_a_window_above_the_highest_bucket_says_so(search: Service) -> None:
    windows = current(search, SLI).document["tiers"]["aggressive"]["backtest"]["windows"]
    set_threshold(search, 400.0, windows=[windows[0] | {"observed": None, "missed": True}, *windows[1:]])
    assert "above the highest bucket, missed" in latency_panel(search)


@pytest.mark.parametrize(
    ("pages", "tickets", "is_told"), [(0.0, 30.0, True), (30.0, 30.0, False), (0.0, 2.0, False)]
)
def test_tickets_without_pages_are_told_as_a_lack_of_room(
    search: Service, pages: float, tickets: float, is_told: bool
) -> None:
    row = current(search, SLI)
    tiers = {
        name: tier | {"backtest": tier["backtest"] | {"pages_per_month": pages, "tickets_per_month": tickets}}
        for name, tier in row.document["tiers"].items()
    }
    Recommendation.objects.filter(pk=row.pk).update(
        document=row.document | {"tiers": tiers}, version=row.version + 1
    )
    assert ("It has no room; nothing broke." in latency_panel(search)) == is_told


def test_a_recommendation_of_before_shows_its_tiers_without_a_strip(search: Service) -> None:
    for row in Recommendation.objects.filter(service=search, sli_type=SLI):
        document = {name: value for name, value in row.document.items() if name != "days"}
        document["tiers"] = {
            name: {key: value for key, value in tier.items() if key != "backtest"}
            for name, tier in document["tiers"].items()
        }
        Recommendation.objects.filter(pk=row.pk).update(document=document, version=row.version + 1)
    panel = latency_panel(search)
    assert panel.count("Accept ") == 3
    for word in ("data-strip", "Would have", "No past window", "Alerts"):
        assert word not in panel


def test_the_api_gives_the_backtest_and_the_days(search: Service) -> None:
    client: Client = client_of("viewer")
    body = client.get("/api/v1/services/search/slo-recommendations", {"sli_type": SLI}).json()
    part = body["recommendations"][SLI]
    assert part["days"] == 70
    stored = current(search, SLI).document["tiers"]
    assert part["tiers"]["balanced"]["backtest"] == stored["balanced"]["backtest"]


def test_too_short_a_history_is_said_on_every_card(shop: Team) -> None:
    service = make_service("newcomer", team=shop)
    make_latency(service, days=2, end=make_hours(service, days=2))
    compute(service)
    words = text_of(page(service))
    cards = words.count("Accept ")
    assert cards >= 6, "availability and a latency"
    assert words.count("No past window of 28 days can be judged yet: 2 days of data.") == cards
    assert words.count("Alerts are counted from a week of data on") == cards
    assert 'class="strip"' not in page(service).content.decode()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (None, "No past window of 28 days can be judged yet."),
        (0.5, "No past window of 28 days can be judged yet: under a day of data."),
        (1.9, "No past window of 28 days can be judged yet: 1 day of data."),
        (40.0, "No past window of 28 days can be judged yet: too many days are without data."),
    ],
)
def test_why_nothing_can_be_judged(days: float | None, words: str) -> None:
    assert nothing_judged(days, 28) == words
