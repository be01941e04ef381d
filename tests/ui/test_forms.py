from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal
from typing import Literal

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string
from pydantic import BaseModel, Field, ValidationError

from apps.core.errors import FieldProblem
from apps.ui.forms import errors_by_field, errors_from, fields_for, values_from


class Mode(enum.StrEnum):
    SYNC = "sync"
    FIRE_AND_FORGET = "fire_and_forget"


class Sample(BaseModel):
    service: str = Field(json_schema_extra={"widget": "hidden"})
    target: float = Field(title="Target", ge=0.5, le=0.9999, json_schema_extra={"unit": "percent"})
    exact: Decimal | None = Field(None, title="Exact", gt=0, lt=1, json_schema_extra={"unit": "percent"})
    threshold: float | None = Field(None, title="Threshold", gt=0, json_schema_extra={"unit": "ms"})
    days: int = Field(28, title="Days", ge=1, le=90)
    tier: Literal["conservative", "balanced"] = Field("balanced", title="Tier")
    mode: Mode | None = Field(None, title="Mode", json_schema_extra={"labels": {"sync": "waits"}})
    why: str = Field(title="Why", min_length=1, max_length=500, json_schema_extra={"widget": "textarea"})
    names: list[str] = Field(default_factory=list, title="Names")
    until: datetime | None = Field(None, title="Until")
    tell: bool = Field(True, title="Tell the owners")


def test_each_kind_of_value_gets_its_input() -> None:
    kinds = {field.name: field.kind for field in fields_for(Sample)}
    assert kinds == {
        "service": "hidden",
        "target": "number",
        "exact": "number",
        "threshold": "number",
        "days": "number",
        "tier": "select",
        "mode": "select",
        "why": "textarea",
        "names": "lines",
        "until": "datetime-local",
        "tell": "checkbox",
    }


def test_a_ratio_is_shown_and_bounded_in_percent() -> None:
    target = next(field for field in fields_for(Sample, {"target": 0.99955}) if field.name == "target")
    assert (target.value, target.min, target.max, target.unit) == ("99.955", "50", "99.99", "%")


def test_what_was_typed_is_shown_as_it_was_typed() -> None:
    target = next(field for field in fields_for(Sample, {"target": "99,9"}) if field.name == "target")
    assert target.value == "99,9"


class Lists(BaseModel):
    kept: list[str] | None = Field(None, title="Kept unless given")
    plain: list[str] = Field(default_factory=list, title="Plain")


@pytest.mark.parametrize("kept", [None, [], ["a"], ["a", "b"]])
def test_an_empty_list_is_not_the_same_as_no_list(kept: list[str] | None) -> None:
    values = {} if kept is None else {"kept": kept}
    posted = QueryDict(mutable=True)
    posted.update({field.name: field.value for field in fields_for(Lists, values)})
    assert Lists(**values_from(Lists, posted)).kept == kept


def test_only_a_list_that_may_be_left_out_has_a_text_for_empty() -> None:
    assert values_from(Lists, QueryDict("plain=[]")) == {"plain": ["[]"]}
    assert [field.value for field in fields_for(Lists, {"plain": []})] == ["", ""]


def test_choices_have_words_and_an_optional_one_may_stay_empty() -> None:
    fields = {field.name: field for field in fields_for(Sample)}
    assert fields["mode"].choices == (("", "—"), ("sync", "waits"), ("fire_and_forget", "fire and forget"))
    assert fields["tier"].choices == (("conservative", "conservative"), ("balanced", "balanced"))
    assert fields["tier"].value == "balanced"


def test_a_page_may_hide_what_it_already_knows() -> None:
    fields = fields_for(Sample, {"tier": "conservative"}, hidden=["tier"])
    tier = next(field for field in fields if field.name == "tier")
    assert (tier.kind, tier.value) == ("hidden", "conservative")


def test_what_is_posted_comes_back_as_the_model_takes_it() -> None:
    posted = QueryDict(
        "service=a&target=99.955&exact=&threshold=250&days=30&tier=balanced&mode="
        "&why= new database &names=x%0Ay%0A"
    )
    data = values_from(Sample, posted)
    assert data["target"] == 0.99955
    assert data["names"] == ["x", "y"]
    assert data["tell"] is False
    assert "exact" not in data
    assert "mode" not in data
    assert Sample.model_validate(data).threshold == 250


def test_a_form_shown_and_posted_unchanged_changes_nothing() -> None:
    before = Sample(service="a", target=0.99955, why="because", names=["x"], tell=True)
    posted = QueryDict(mutable=True)
    for field in fields_for(Sample, before.model_dump()):
        if field.kind != "checkbox" or field.is_checked:
            posted[field.name] = field.value
    assert Sample.model_validate(values_from(Sample, posted)) == before


def test_errors_speak_the_language_of_the_page() -> None:
    with pytest.raises(ValidationError) as raised:
        Sample.model_validate({"service": "a", "target": 1.2, "days": "many", "tier": "best", "why": ""})
    errors = errors_from(raised.value, Sample)
    assert errors == {
        "target": ["Must be at most 99.99\u202f%."],
        "days": ["Write a number."],
        "tier": ["Choose one from the list."],
        "why": ["This is needed."],
    }


def test_problems_are_found_by_their_field() -> None:
    problems = [
        FieldProblem("why", "is missing"),
        FieldProblem("names.3", "Value error, Unknown."),
        FieldProblem("body", "No."),
    ]
    assert errors_by_field(problems) == {"why": ["This is needed."], "names": ["Unknown."], "": ["No."]}


def test_an_input_with_an_error_says_so_to_everybody() -> None:
    fields = fields_for(Sample, {}, {"why": ["This is needed."]})
    html = render_to_string("components/fields.html", {"fields": fields, "errors": ["Nothing was saved."]})
    assert 'aria-invalid="true" aria-describedby="field-why-errors"' in html
    assert html.count("This is needed.") == 1
    assert "Nothing was saved." in html


def test_what_a_person_typed_cannot_become_markup() -> None:
    fields = fields_for(Sample, {"why": "</textarea><script>", "service": '"><script>'})
    html = render_to_string("components/fields.html", {"fields": fields})
    assert "<script>" not in html


def test_a_model_that_no_form_can_show_is_refused() -> None:
    class Nested(BaseModel):
        inner: dict[str, int]

    with pytest.raises(TypeError, match="inner"):
        fields_for(Nested)
    assert fields_for(Nested, leave_out=["inner"]) == []


def test_help_is_plain_words_without_the_markdown_of_the_api() -> None:
    class Named(BaseModel):
        name: str = Field(description="What it is for, such as `backstage`.")

    assert fields_for(Named)[0].help == "What it is for, such as backstage."
