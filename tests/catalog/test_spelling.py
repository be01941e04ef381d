"""One service, one spelling: what is the same, what only looks alike, and that whoever sends it is told."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.catalog import queries
from apps.catalog.ingesting import ingestion
from apps.catalog.models import Dependency, Ingestion, Service
from apps.catalog.schemas import service_id_problem
from apps.catalog.spelling import NAMES_SHOWN, Spellings, difference, forms_of
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.text.alike import look_of
from apps.core.text.names import name_problem
from tests.catalog.conftest import State, acting
from tests.catalog.test_run_ingestion import send
from tests.pages import client_of, text_of

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
PAY, PAY_IN_CAPITALS = "component:default/pay", "component:default/Pay"
ZERO_WIDTH = "pay\u200b"

names = st.text(
    st.sampled_from("abAB-/:. \u00e9\u00c9\u00f1\u00df\ufb01\uff21\u0301\u0308\u200b\u00ad"),
    min_size=1,
    max_size=6,
).filter(lambda name: not service_id_problem(name))

new_names = names.filter(lambda name: not name_problem(name))


def services() -> set[str]:
    return set(Service.objects.values_list("service_id", flat=True))


def taken(user: User, *pairs: str, **said: Any) -> Ingestion:
    sent = send(user, *pairs, **said)
    ingestion.run(sent.pk)
    sent.refresh_from_db()
    return sent


@given(st.lists(names, max_size=8), st.lists(names, max_size=8))
def test_ids_are_the_same_just_where_they_are_equal_composed(known: list[str], given: list[str]) -> None:
    spellings = Spellings(known, "manual")
    kept = {name: spellings.settle(name) for name in given}
    for one in given:
        assert spellings.settle(kept[one]) == kept[one]
        assert kept[one] in known or kept[one] == unicodedata.normalize("NFC", kept[one])
        assert one not in known or kept[one] == one
        for other in given:
            if unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other):
                assert kept[one] != kept[other]
            elif not {one, other} & set(known):
                assert kept[one] == kept[other]


@given(st.lists(names, max_size=8), st.lists(names, max_size=8))
def test_ids_of_backstage_are_the_same_whatever_their_capitals(known: list[str], given: list[str]) -> None:
    spellings = Spellings(known, "backstage")
    kept = {name: spellings.settle(name) for name in given}
    for one in given:
        assert one not in known or kept[one] == one
        for other in given:
            if one.lower() == other.lower() and not {one, other} & set(known):
                assert kept[one] == kept[other]


@given(st.lists(names, max_size=8), st.lists(names, max_size=8))
def test_what_is_observed_is_kept_as_it_was_seen(known: list[str], given: list[str]) -> None:
    spellings = Spellings(known, "otel_service_graph")
    assert [spellings.settle(name) for name in given] == given


@given(st.lists(names, max_size=12), st.sampled_from(["manual", "file", "backstage", "kubernetes"]))
def test_names_that_look_alike_and_are_kept_apart_are_told_within_bounds(
    given: list[str], source: str
) -> None:
    spellings = Spellings([], source)
    kept = {spellings.settle(name) for name in given}
    remarks = spellings.remarks()
    looks = [look_of(name) for name in kept]
    assert any("look alike" in remark for remark in remarks) == (len(set(looks)) < len(looks))
    assert sum(len(remark) for remark in remarks) < 2 * (NAMES_SHOWN + 1) * 300


def test_many_names_that_look_alike_are_counted() -> None:
    spellings = Spellings([], "manual")
    for number in range(1_000):
        spellings.settle(f"s{number}")
        spellings.settle(f"S{number}")
    (remark,) = spellings.remarks()
    assert "and 995 more" in remark
    assert len(remark) < 500


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("Pay", "pay", "capitals only"),
        (COMPOSED, DECOMPOSED, "the form of its accents only"),
        ("pay", ZERO_WIDTH, "invisible characters only"),
        ("pay", "pay ", "white space only"),
        ("pay", "\uff50ay", "the width or form of its characters only"),
        ("Pay", ZERO_WIDTH, "capitals and invisible characters"),
    ],
)
def test_a_difference_that_cannot_be_seen_is_named(one: str, other: str, words: str) -> None:
    assert difference(one, other) == words
    assert look_of(one) == look_of(other)


@given(names)
def test_every_form_of_a_name_finds_it(name: str) -> None:
    for form in ("NFC", "NFD"):
        stored = unicodedata.normalize(form, name)
        assert stored in forms_of(name)


@pytest.mark.django_db
class TestTwoForms:
    """The same id, composed and decomposed."""

    @pytest.mark.parametrize(("first", "second"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
    def test_are_one_service_and_the_ingestion_says_so(self, admin: User, first: str, second: str) -> None:
        sent = taken(admin, f"{first}>db", services=[{"service_id": second}])
        assert (sent.state, services()) == ("completed", {COMPOSED, "db"})
        assert sent.summary["warnings"] == [
            "Taken as one service: 'cafe<U+0301>' is 'caf\u00e9', written with a difference in the form of its "
            "accents only."
        ]

    def test_are_one_edge(self, admin: User) -> None:
        sent = taken(admin, f"{COMPOSED}>db", f"{DECOMPOSED}>db")
        assert (sent.state, Dependency.objects.count()) == ("completed", 1)

    def test_cannot_contradict_each_other(self, admin: User) -> None:
        rows = [
            {"service_id": COMPOSED, "criticality": "low"},
            {"service_id": DECOMPOSED, "criticality": "high"},
        ]
        sent = taken(admin, services=rows)
        assert sent.state == "failed"
        assert "with a different criticality" in sent.errors[0]["message"]

    def test_keep_the_spelling_that_the_catalog_has(self, admin: User) -> None:
        Service.objects.create(service_id=DECOMPOSED)
        taken(admin, f"{COMPOSED}>db")
        assert services() == {DECOMPOSED, "db"}
        taken(admin, f"{COMPOSED}>db", discovery_source="kubernetes")
        assert services() == {DECOMPOSED, COMPOSED, "db"}

    @pytest.mark.parametrize(("stored", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
    def test_are_found_by_either(self, admin: User, stored: str, asked: str) -> None:
        Service.objects.create(service_id=stored)
        assert queries.get_service(asked).service_id == stored
        with pytest.raises(Conflict, match="in the catalog already"):
            dispatch("catalog.declare_service", {"service_id": asked}, actor=acting(admin))
        dispatch("catalog.update_service", {"service_id": asked, "on_call": "x"}, actor=acting(admin))
        assert Service.objects.get().on_call == "x"

    def test_an_id_that_is_longer_composed_than_an_id_may_be_is_stored_as_it_is(self, admin: User) -> None:
        name = "\u0958" * 200
        taken(admin, f"{name}>db")
        assert services() == {name, "db"}

    def test_a_service_that_a_person_declares_is_stored_composed(self, admin: User) -> None:
        dispatch("catalog.declare_service", {"service_id": DECOMPOSED}, actor=acting(admin))
        assert services() == {COMPOSED}


@pytest.mark.django_db
class TestCapitals:
    """Ids that differ in capitals only."""

    def test_are_one_entity_for_backstage(self, admin: User) -> None:
        ledger = "component:default/ledger"
        sent = taken(
            admin,
            f"{PAY}>db",
            f"{PAY_IN_CAPITALS}>{ledger}",
            f"{ledger}>{PAY}",
            f"{PAY}>{ledger}",
            discovery_source="backstage",
            services=[{"service_id": PAY_IN_CAPITALS}],
        )
        assert (sent.state, sent.error_count) == ("completed", 0)
        assert services() == {PAY_IN_CAPITALS, "db", ledger}
        assert Dependency.objects.count() == 3
        assert sent.summary["dependencies"]["created"] == 3
        assert sent.summary["warnings"] == [
            f"Taken as one service: '{PAY}' is '{PAY_IN_CAPITALS}', written with a difference in capitals only."
        ]

    def test_take_the_spelling_of_the_catalog(self, admin: User) -> None:
        Service.objects.create(service_id=PAY)
        taken(admin, f"{PAY_IN_CAPITALS}>db", discovery_source="backstage")
        assert services() == {PAY, "db"}

    def test_stay_two_where_the_catalog_has_two_and_backstage_says_so(self, admin: User) -> None:
        for name in (PAY, PAY_IN_CAPITALS):
            Service.objects.create(service_id=name)
        sent = taken(admin, f"{PAY}>db", f"{PAY_IN_CAPITALS}>db", discovery_source="backstage")
        assert Dependency.objects.count() == 2
        assert "ignores capitals in names" in sent.summary["warnings"][0]

    @pytest.mark.parametrize("source", ["manual", "kubernetes", "otel"])
    def test_are_two_services_for_others_and_the_ingestion_says_so(self, admin: User, source: str) -> None:
        sent = taken(admin, f"{PAY}>db", f"{PAY_IN_CAPITALS}>db", discovery_source=source)
        assert services() == {PAY, PAY_IN_CAPITALS, "db"}
        assert sent.summary["warnings"] == [
            f"Kept as different services although they look alike: '{PAY_IN_CAPITALS}' and '{PAY}' differ in capitals "
            "only. If they are one, write one name everywhere."
        ]
        words = text_of(client_of("viewer").get(reverse("run", args=[sent.pk])))
        assert "differ in capitals only" in words

    def test_a_person_who_declares_one_is_asked_before(self, admin: User) -> None:
        from apps.core.dispatcher import preview

        Service.objects.create(service_id="Pay")
        found = preview("catalog.declare_service", {"service_id": "pay"}, actor=acting(admin))
        assert found.warnings == [
            "'Pay' is in the catalog and differs in capitals only: are they one service?"
        ]


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(new_names, new_names), min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from(["manual", "backstage"]),
)
def test_invariant_no_two_services_are_one_whatever_comes_in_whatever_order(
    state: State, batches: list[list[tuple[str, str]]], source: str
) -> None:
    from django.db import transaction

    def key(name: str) -> str:
        name = unicodedata.normalize("NFC", name)
        return unicodedata.normalize("NFC", name.casefold()) if source == "backstage" else name

    with transaction.atomic():
        for batch in batches:
            pairs = {(key(one), key(other)): (one, other) for one, other in batch if key(one) != key(other)}
            state(dependencies=[{"source": one, "target": other} for one, other in pairs.values()], by=source)
        keys = [key(name) for name in services()]
        assert len(keys) == len(set(keys))
        wanted = {(key(a), key(b)) for batch in batches for a, b in batch if key(a) != key(b)}
        found = Dependency.objects.values_list("source__service_id", "target__service_id")
        assert {(key(one), key(other)) for one, other in found} == wanted
        transaction.set_rollback(True)
