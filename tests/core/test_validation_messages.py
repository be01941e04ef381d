"""What is wrong with a value is said in plain words, whatever Pydantic calls it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from apps.core.text.validation_messages import plain


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(default=1, ge=1, le=9)
    kind: Literal["a", "b"] = "a"


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="x", min_length=1, max_length=3)
    part: Part | None = None
    parts: list[Part] = []
    other: Annotated[Part, Field(alias="else")] = Part()


def said(model: type[BaseModel], data: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return {".".join(map(str, item["loc"])): plain(item, model) for item in caught.value.errors()}


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"name": ""}, "name", "is empty"),
        ({"name": "long"}, "name", "is longer than 3 characters"),
        ({"name": 7}, "name", "has to be text"),
        ({"part": {"size": 0}}, "part.size", "'0' is less than 1"),
        ({"part": {"size": 10}}, "part.size", "'10' is more than 9"),
        ({"part": {"size": "many"}}, "part.size", "'many' is not a whole number"),
        ({"part": {"kind": "c"}}, "part.kind", "'c' is not possible; write a or b"),
        ({"part": []}, "part", "has to be an object"),
        ({"parts": {}}, "parts", "has to be a list"),
    ],
)
def test_common_mistakes_are_named(data: Any, path: str, words: str) -> None:
    assert said(Whole, data) == {path: words}


@pytest.mark.parametrize(
    ("data", "path", "known"),
    [
        ({"nam": 1}, "nam", "name, part, parts and else"),
        ({"part": {"sise": 1}}, "part.sise", "size and kind"),
        ({"parts": [{}, {"sise": 1}]}, "parts.1.sise", "size and kind"),
        ({"else": {"sise": 1}}, "else.sise", "size and kind"),
    ],
)
def test_an_unknown_key_is_told_which_there_are_where_it_stands(data: Any, path: str, known: str) -> None:
    assert said(Whole, data) == {path: f"is not known here; there is {known}"}


def test_what_a_validator_says_is_said_as_it_is() -> None:
    def refuse(_: str) -> str:
        raise ValueError("Say why.")

    from pydantic import AfterValidator

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[str, AfterValidator(refuse)]).validate_python("x")
    assert plain(caught.value.errors()[0]) == "Say why."


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_no_kind_of_error_keeps_the_librarys_sentence(error: Any) -> None:
    words = plain(
        {
            "type": error["type"],
            "loc": ("field",),
            "msg": error["example_message_python"],
            "input": "a value",
            "ctx": error["example_context"] or {},
        }
    )
    assert words
    assert "Input should" not in words
    assert "should have" not in words
