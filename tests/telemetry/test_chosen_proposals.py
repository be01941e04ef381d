"""What comes back from the form of proposals: families that can be stored, or a sentence on what is wrong."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import InvalidInput
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector, load_config
from apps.telemetry.proposals import choosing, toml
from apps.telemetry.proposals.comparing import matches
from apps.telemetry.proposals.documents import Evidence, Proposal, Survey, Twice

CONFIG = load_config()
PLACES = Twice(label="env", values=["production", "staging"], services=2, names=["shop"])


def survey(*families: str, preset: bool = False) -> Survey:
    return Survey(
        proposals=[
            Proposal(
                name=name, family=CONFIG.families[name], preset=preset, evidence=Evidence(twice=[PLACES])
            )
            for name in families
        ]
    )


def as_posted(found: Survey) -> dict[str, str]:
    """The form as it comes back unchanged, with everything ticked."""
    posted: dict[str, str] = {}
    for card in choosing.cards(found):
        number = card.number
        posted |= {
            f"take-{number}": "true",
            f"label-{number}": card.service_label,
            f"where-{number}": card.where,
        }
        posted |= {f"failures-{number}": card.failures, f"unit-{number}": card.unit}
    return posted


@pytest.mark.parametrize("name", sorted(CONFIG.families))
def test_what_nobody_changed_comes_back_as_it_was(name: str) -> None:
    found = survey(name)
    assert choosing.chosen(found, as_posted(found)) == [(name, CONFIG.families[name])]


def test_what_is_not_ticked_is_not_taken() -> None:
    assert choosing.chosen(survey("http"), {}) == []


def test_a_built_in_family_is_stored_only_where_it_is_narrowed() -> None:
    found = survey("http", preset=True)
    assert choosing.chosen(found, {"take-0": "true"}) == []
    [(name, family)] = choosing.chosen(found, {"place-0-0": "production"})
    assert (name, family.where) == ("http", ("env!=staging",))
    assert family.total == CONFIG.families["http"].total


PLACE_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.sets(PLACE_NAMES, min_size=2, max_size=12), st.data())
def test_one_place_is_read_and_no_other_however_many_there_are(places: set[str], data: st.DataObject) -> None:
    shown = data.draw(st.lists(st.sampled_from(sorted(places)), min_size=2, unique=True))
    one = data.draw(st.sampled_from(shown))
    matcher = Twice(label="env", values=shown, services=2, names=[]).only(one)
    selector = Selector(metric="requests_total", where=(matcher,))
    read = {place for place in places if matches(selector, {"env": place})}
    # Of the places that these services have one is read; what others have, or none, stays.
    assert read & set(shown) == {one}
    assert places - set(shown) <= read


def test_a_place_that_was_not_proposed_is_not_taken() -> None:
    assert choosing.chosen(survey("http", preset=True), {"place-0-0": "elsewhere"}) == []


TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "status=~5..",
        "code=500\nother_total",
        "a b",
        "=",
        "x=~(",
        "metric{}",
        "",
        "env=production",
        "app",
        "ms",
    ]
)


@given(st.lists(st.sampled_from(sorted(CONFIG.families)), min_size=1, max_size=3, unique=True), st.data())
def test_whatever_is_written_it_is_a_family_or_a_problem_of_its_proposal(
    names: list[str], data: st.DataObject
) -> None:
    found = survey(*names)
    fields = ("take", "label", "where", "failures", "unit")
    posted = {
        f"{field}-{number}": data.draw(TEXTS)
        for number in range(len(names))
        for field in fields
        if data.draw(st.booleans())
    }
    problems: set[str] = set()
    chosen: list[tuple[str, MetricFamily]] = []
    try:
        chosen = choosing.chosen(found, posted)
    except InvalidInput as error:
        problems = {one.path for one in error.fields}
    assert problems <= {str(number) for number in range(len(names))}
    assert not (problems and chosen)
    assert {name for name, _ in chosen} <= set(names)
    written = tomllib.loads(toml.document(dict(chosen)))["telemetry"].get("families", {})
    assert {name: MetricFamily.model_validate(one) for name, one in written.items()} == dict(chosen)


@pytest.mark.parametrize("name", sorted(CONFIG.families))
def test_a_family_is_written_as_it_is_read(name: str) -> None:
    written = tomllib.loads(toml.document({name: CONFIG.families[name]}, [name], {name: ["why\nso"]}))
    assert MetricFamily.model_validate(written["telemetry"]["families"][name]) == CONFIG.families[name]
    assert written["telemetry"]["order"] == [name]
