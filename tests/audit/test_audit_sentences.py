"""Every entry of the trail reads as a sentence, whatever its record holds and whichever version wrote it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.actions import AnyAction, all_actions
from apps.core.models import AuditEntry
from apps.core.rooms import rooms
from apps.core.sentences import mark, sentence
from apps.slos.models import SliType

ACTIONS = [action for action in all_actions() if type(action).__module__.startswith("apps.")]
# Other processes on the same machine are no fault of an input.
UNHURRIED = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FLAT = SCALARS | st.lists(SCALARS, max_size=2)
ANYTHING = FLAT | st.dictionaries(st.text(max_size=8), FLAT, max_size=2)
SNAPSHOT = st.fixed_dictionaries(
    {},
    optional={
        "sli_type": st.sampled_from(SliType.values),
        "target": st.floats(0.5, 0.99999),
        "threshold_ms": st.none() | st.floats(1, 1e4),
        "window_days": st.integers(1, 90),
        "basis": st.sampled_from(["requests", "bins"]),
        "source": st.sampled_from(["recommendation", "modified", "manual"]),
        "tier": st.none() | st.just("balanced"),
        "services": st.integers(0, 5000),
    },
)
# As written today; as written with fields of another kind; something else altogether.
RECORDS = st.one_of(SNAPSHOT, st.builds(lambda a, b: a | b, SNAPSHOT, st.dictionaries(
    st.sampled_from(["sli_type", "target", "threshold_ms", "window_days", "tier", "services"]), ANYTHING
)), ANYTHING)  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
@UNHURRIED
@given(before=RECORDS, after=RECORDS, label=st.text(max_size=30), object_id=st.text(max_size=30))
def test_every_action_tells_whatever_is_recorded(
    action: AnyAction, before: Any, after: Any, label: str, object_id: str
) -> None:
    made = AuditEntry(action=action.name, before=before, after=after, object_label=label, object_id=object_id)
    told = sentence(made)
    assert told.strip()
    assert not told.startswith(" ")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
@UNHURRIED
@given(before=st.none() | SNAPSHOT, after=st.none() | SNAPSHOT)
def test_what_is_missing_in_a_record_is_not_put_into_words(
    action: AnyAction, before: Any, after: Any
) -> None:
    assert "None" not in sentence(AuditEntry(action=action.name, before=before, after=after))


@UNHURRIED
@given(
    name=st.from_regex(r"[a-z]{1,9}\.[a-z_]{1,9}_of_old", fullmatch=True),
    record=RECORDS,
    label=st.text(min_size=1),
)
def test_an_action_that_no_longer_exists_is_named_with_what_it_was_about(
    name: str, record: Any, label: str
) -> None:
    entry = AuditEntry(action=name, before=record, after=record, object_label=label)
    assert sentence(entry) == f"{name}: {label}"
    assert mark(entry) == ""


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_the_trail_can_be_narrowed_to_the_area_of_every_action(action: AnyAction) -> None:
    areas = [area for room in rooms() for area in room.audit_areas]
    assert len(areas) == len(set(areas))
    assert action.name.partition(".")[0] in areas
