"""Messages that say what is wrong with a value. All of Pydantic's are reworded here.

Each message comes after the path of its field: ``limit: '0' is less than 1``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

MISSING = "is missing"
_SHOWN = 60
_UNKNOWN = "is not known here; remove it or correct its name"
# The beginnings of Pydantic's other sentences: "Input should be …", "List should have …".
_SHOULD = re.compile(r"^[A-Z]\w*(?: \w+)? should (not )?")

type Words = Callable[[object, Mapping[str, Any]], str]


def plain(problem: ErrorDetails, model: type[BaseModel] | None = None) -> str:
    """Return what is wrong: the value that was given, and what to write instead.

    ``model`` is the model at which the problem's ``loc`` starts; with it, the message on an unknown key lists the known
    ones.
    """
    kind, value = problem["type"], problem.get("input")
    if kind == "extra_forbidden" and model is not None:
        known = known_keys(model, problem["loc"])
        if known:
            return f"is not known here; there is {_listed(known)}"
    if kind in _WORDS:
        return _WORDS[kind](value, problem.get("ctx") or {})
    message = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return _SHOULD.sub(lambda found: f"must {'not ' if found[1] else ''}", message)


def quoted(value: object) -> str:
    """Return a value for a message: in quotation marks and shortened."""
    text = str(value) if isinstance(value, str | int | float | Decimal | bool) else ""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…") if text else "this"


def known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the object around the last step of ``location`` may have; none where it is not one model."""
    found: Any = model
    for step in location[:-1]:
        found = _inside(found, step)
    holder = _model_in(found)
    if holder is None:
        return []
    return [str(field.alias or name) for name, field in holder.model_fields.items()]


def _inside(annotation: Any, step: int | str) -> Any:
    if isinstance(step, str):
        holder = _model_in(annotation)
        fields = {} if holder is None else holder.model_fields
        for name, field in fields.items():
            if step in (name, field.alias):
                return field.annotation
        return None
    for option in _options(annotation):
        if get_origin(option) in (list, tuple, set, frozenset):
            return get_args(option)[0]
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    models = [each for each in _options(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    return models[0] if len(models) == 1 else None


def _options(annotation: Any) -> list[Any]:
    """Return the members of an annotation, without aliases and metadata."""
    if isinstance(annotation, TypeAliasType):
        return _options(annotation.__value__)
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for each in get_args(annotation) for option in _options(each)]
    return [annotation]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _constant(words: str) -> Words:
    return lambda _value, _context: words


def _given(words: str) -> Words:
    return lambda value, _: f"{quoted(value)} {words}"


def _choice() -> Words:
    return lambda value, context: (
        f"{quoted(value)} is not possible; write {str(context.get('expected', '')).replace("'", '')}"
    )


def _bound(words: str, key: str) -> Words:
    return lambda value, context: f"{quoted(value)} is {words} {_limit(context[key])}"


def _limit(bound: object) -> str:
    if not isinstance(bound, int | float | Decimal):
        return str(bound)
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _long(unit: str) -> Words:
    return lambda _, context: f"is longer than {context['max_length']:,} {unit}"


def _short(unit: str) -> Words:
    return lambda _, context: (
        "is empty" if context["min_length"] == 1 else f"is shorter than {context['min_length']:,} {unit}"
    )


_CHOICE = _choice()
_NUMBER = _given("is not a number")
_WHOLE = _given("is not a whole number")
_TRUTH = _given("is neither true nor false")
_MOMENT = _given("is not ISO 8601, such as 2026-11-01T00:00:00Z")
_DAY = _given("is not a day, such as 2026-11-01")
_UUID = _given("is not a UUID")
_OBJECT = _constant("has to be an object")
_LIST = _constant("has to be a list")
_TEXT = _constant("has to be text")

_WORDS: Mapping[str, Words] = {
    "missing": _constant(MISSING),
    "extra_forbidden": _constant(_UNKNOWN),
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "string_too_long": _long("characters"),
    "string_too_short": _short("characters"),
    "too_long": _long("entries"),
    "too_short": _short("entries"),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "greater_than": _bound("not above", "gt"),
    "greater_than_equal": _bound("less than", "ge"),
    "less_than": _bound("not below", "lt"),
    "less_than_equal": _bound("more than", "le"),
    "timezone_aware": _given("has no time zone; write it with one: 2026-11-01T00:00:00Z"),
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "datetime_type": _MOMENT,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "date_type": _DAY,
    "uuid_parsing": _UUID,
    "uuid_type": _UUID,
    "uuid_version": _UUID,
}
