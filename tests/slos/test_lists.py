"""The lists and the overview: right figures from few queries, however many services there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import CycleAlert, Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos import queries
from apps.slos.objectives import status
from apps.slos.objectives.questions import due_reasons
from apps.slos.queries import RecommendationFilters, ServiceFilters
from tests.slos.conftest import compute, make_hours, make_service, make_user, steady


@pytest.fixture
def fleet(shop: Team, admin: Actor) -> dict[str, Service]:
    """One of each: fine, spent, without an SLO, without data, external."""
    payments = Team.objects.create(name="payments")
    services = {
        "fine": make_service("fine", team=shop, criticality="low"),
        "spent": make_service("spent", team=payments, criticality="critical"),
        "bare": make_service("bare", team=shop, criticality="medium"),
        "silent": make_service("silent", team=shop),
        "vendor": make_service("vendor", is_external=True, published_sla="0.999"),
    }
    make_hours(services["fine"], days=40, fails=steady(0.0001))
    make_hours(services["spent"], days=40, fails=steady(0.01))
    make_hours(services["bare"], days=40, fails=steady(0.0005))
    for name in ("fine", "spent"):
        dispatch(
            "slos.set",
            {"service_id": name, "sli_type": "availability", "target": 0.999, "rationale": "contract"},
            actor=admin,
        )
    compute(*services.values())
    status.refresh()
    return services


def names(sort: str = "service", **filters: object) -> list[str]:
    page = queries.services_table(ServiceFilters(**filters), sort=sort)  # type: ignore[arg-type]
    return [row.service.service_id for row in page.rows]


def test_the_table_sorts_by_what_is_asked_and_puts_unknowns_last(fleet: dict[str, Service]) -> None:
    assert names("service") == ["bare", "fine", "silent", "spent", "vendor"]
    assert names("-service") == ["vendor", "spent", "silent", "fine", "bare"]
    assert names("state")[0] == "spent"
    assert names("budget")[:2] == ["spent", "fine"]
    assert names("-budget")[:2] == ["fine", "spent"]
    assert names("observed")[:3] == ["spent", "bare", "fine"]
    assert names("criticality")[0] == "spent"


def test_the_table_filters(fleet: dict[str, Service]) -> None:
    assert names(team="payments") == ["spent"]
    assert names(criticality="low") == ["fine"]
    assert names(state="act") == ["spent"]
    assert names(state="no_data") == ["silent", "vendor"]
    assert names(text="IN") == ["fine"]
    assert names(external=True) == ["vendor"]
    assert "bare" in names(state="due")
    assert "silent" not in names(state="due")


def test_the_table_pages_with_a_total(fleet: dict[str, Service]) -> None:
    page = queries.services_table(sort="service", limit=2, offset=2)
    assert [row.service.service_id for row in page.rows] == ["silent", "spent"]
    assert (page.total, page.limit, page.offset) == (5, 2, 2)
    assert queries.services_table(limit=None).total == 5


def test_a_service_without_status_is_listed(db: None) -> None:
    make_service("new")
    [row] = queries.services_table().rows
    assert (row.status, row.state, row.team) == (None, "no_data", "")
    assert names(state="no_data") == ["new"]


def test_the_lists_cost_few_queries(fleet: dict[str, Service]) -> None:
    with CaptureQueriesContext(connection) as asked:
        page = queries.services_table(sort="state", limit=3)
        assert [row.team for row in page.rows]
    assert len(asked) <= 5
    with CaptureQueriesContext(connection) as asked:
        queries.overview()
    assert len(asked) <= 10
    with CaptureQueriesContext(connection) as asked:
        assert [row.service.team for row in queries.recommendations_table().rows]
    assert len(asked) == 2


def test_the_overview_counts_what_needs_somebody(fleet: dict[str, Service]) -> None:
    CycleAlert.objects.create(fingerprint="f", members=["a", "b"], path=["a", "b"])
    found = queries.overview()
    assert (found.services, found.own_services, found.with_slo) == (5, 4, 2)
    assert found.coverage == 0.5
    assert found.states == {"fine": 1, "attend": 0, "act": 1, "no_slo": 1, "no_data": 2}
    assert [row.service.service_id for row in found.spent] == ["spent"]
    assert found.cycles_open == 1
    assert found.verdicts["ok"] == 3
    assert found.verdicts["cold_start"] == 1
    assert found.newest_data is not None
    assert timedelta(0) <= timezone.now() - found.newest_data < timedelta(hours=2)
    waiting = queries.needs(None)
    assert waiting.review[0].service.service_id == "spent"
    assert "harder to keep" in waiting.review[0].reason
    assert "bare" in waiting.without_slo
    assert found.decisions_count == waiting.review_count + waiting.without_slo_count


def test_of_many_decisions_the_most_critical_services_are_named_first(shop: Team) -> None:
    made = [
        make_service(name, team=shop, criticality=criticality)
        for name, criticality in (
            ("a", "low"),
            ("b", "critical"),
            ("c", "high"),
            ("d", "critical"),
            ("e", "medium"),
        )
    ]
    for service in made:
        make_hours(service, days=35)
    compute(*made)
    status.refresh()
    waiting = queries.needs(None, limit=3)
    assert (waiting.without_slo, waiting.without_slo_count) == (["b", "d", "c"], 5)


def test_an_empty_installation_has_an_overview(db: None) -> None:
    found = queries.overview()
    assert (found.services, found.coverage, found.newest_data, found.data_age) == (0, None, None, None)


def test_decisions_are_those_that_this_person_may_take(fleet: dict[str, Service]) -> None:
    payments = make_user("pia", "service_owner", Team.objects.get(name="payments"))
    assert [each.service.service_id for each in queries.needs(payments).review] == ["spent"]
    assert queries.decisions_due_count(payments) == 1
    assert queries.decisions_due_count(make_user("vera", "viewer")) == 0


def test_recommendations_are_listed_filtered_and_sorted(fleet: dict[str, Service]) -> None:
    page = queries.recommendations_table(RecommendationFilters(sli_type="availability"), sort="-balanced")
    ids = [row.service.service_id for row in page.rows]
    assert page.total == 5
    assert ids.index("fine") < ids.index("bare") < ids.index("spent")
    ok = queries.recommendations_table(RecommendationFilters(verdict="ok", sli_type="availability"))
    assert {row.service.service_id for row in ok.rows} == {"fine", "spent", "bare"}
    assert queries.recommendations_table(RecommendationFilters(team="payments")).total == 3
    assert queries.recommendations_table(RecommendationFilters(text="fin")).total == 3
    due = queries.recommendations_table(RecommendationFilters(due=queries.due_statuses(None)))
    reasons = due_reasons()
    waiting = {(one.service, one.sli_type) for several in reasons.values() for one in several}
    assert {(row.service_id, row.sli_type) for row in due.rows} == waiting
    assert 0 < due.total < 15
    payments = make_user("paul", "service_owner", Team.objects.get(name="payments"))
    own = queries.recommendations_table(RecommendationFilters(due=queries.due_statuses(payments)))
    assert {row.service.service_id for row in own.rows} == {"spent"}


def test_the_page_of_a_service_holds_what_it_shows(fleet: dict[str, Service], admin: Actor) -> None:
    page = queries.service_page(fleet["spent"])
    assert page.status is not None
    assert page.status.state == "act"
    assert page.versions == {"availability": 1}
    assert page.recommendation is not None
    assert not page.recommendation["is_stale"]
    assert page.burn_downs["availability"].left == pytest.approx(page.status.budget_left)
    assert len(page.days) in (40, 41)
    assert [entry.action for entry in page.decisions] == ["slos.set"]
    assert page.due
    assert page.history[0].source == "manual"
    silent = queries.service_page(fleet["silent"])
    assert (silent.days, silent.slos, silent.as_of) == ([], {}, None)
