"""Forms from Pydantic models, for every action's dialog.

A field's title, description, default, bounds and choices come from the model. ``json_schema_extra`` adds what only
forms need:

- ``{"widget": "textarea" | "hidden" | "lines"}`` — long text, an unseen value, one list entry per line
- ``{"unit": "percent"}`` — a ratio 0..1 that people read and write in percent
- ``{"unit": "ms"}`` (or any word) — written after the input
- ``{"autocomplete": "new-password"}`` — what a browser may fill in
- ``{"labels": {"value": "words"}}`` — what the choices of an enum or Literal are called
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Protocol

from django.http import QueryDict
from pydantic import BaseModel, ValidationError

from apps.ui.format import iso

type Kind = Literal[
    "text",
    "password",
    "number",
    "select",
    "checkbox",
    "textarea",
    "lines",
    "hidden",
    "datetime-local",
    "date",
]
type Schema = Mapping[str, Any]
type FormValue = str | bool | float | list[str]
type FormValues = dict[str, FormValue]

FORM_ERRORS = ""
"""The key of errors that belong to no single field."""
NO_ENTRIES = "[]"
"""The text of an empty list in a field where an empty input means something else: that the list is not given."""


class Problem(Protocol):
    """The attributes of an error that is shown beside its field."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Field:
    """One input, for ``components/field.html``. ``value`` and bounds are finished text."""

    name: str
    label: str
    kind: Kind = "text"
    value: str = ""
    help: str = ""
    errors: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = False
    may_be_empty: bool = False
    min: str = ""
    max: str = ""
    step: str = ""
    max_length: str = ""
    unit: str = ""
    autocomplete: str = ""

    @property
    def id(self) -> str:
        return f"field-{self.name}"

    @property
    def is_checked(self) -> bool:
        return self.value == "true"

    @property
    def described_by(self) -> str:
        ids = [f"{self.id}-help"] if self.help else []
        return " ".join([*ids, *([f"{self.id}-errors"] if self.errors else [])])


def fields_for(
    model: type[BaseModel],
    values: Mapping[str, FormValue] | None = None,
    errors: Mapping[str, Sequence[str]] | None = None,
    *,
    hidden: Iterable[str] = (),
    leave_out: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> list[Field]:
    """Return the fields of a model's form, in the model's order.

    ``values`` holds Python values or typed text (text is shown unchanged), ``errors`` messages by field name,
    ``hidden`` the fields that the page already knows. Raises :class:`TypeError` for a field that no input fits.
    """
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    concealed = set(hidden)
    fields: list[Field] = []
    unasked = set(leave_out)
    for name, raw in schema.get("properties", {}).items():
        if name in unasked:
            continue
        part = _resolved(raw, definitions)
        given = values is not None and name in values
        value = values[name] if given and values is not None else part.get("default")
        kind: Kind = "hidden" if name in concealed else _kind(name, part)
        percent = part.get("unit") == "percent"
        fields.append(
            Field(
                name=name,
                label=(labels or {}).get(name) or str(part.get("title", name)),
                kind=kind,
                value=NO_ENTRIES
                if value == [] and _may_be_none(raw)
                else ("" if kind == "password" else _shown(value, percent=percent)),
                help=str(part.get("description", "")).replace("`", ""),  # The API's description is Markdown.
                errors=tuple((errors or {}).get(name, ())),
                choices=_choices(part, optional=name not in required) if kind == "select" else (),
                required=name in required and kind not in ("checkbox", "hidden"),
                may_be_empty=name not in required and part.get("default") in (None, "", []),
                min=_bound(part.get("minimum"), percent=percent),
                max=_bound(part.get("maximum"), percent=percent),
                step=("1" if part.get("type") == "integer" else "any") if kind == "number" else "",
                max_length=str(part.get("maxLength", "")) if kind in ("text", "textarea", "password") else "",
                unit="%" if percent else str(part.get("unit", "")),
                autocomplete=str(part.get("autocomplete", "")),
            )
        )
    return fields


def values_from(model: type[BaseModel], posted: QueryDict) -> FormValues:
    """Return posted values as data for the model.

    Empty inputs are left out, percent becomes a ratio, and a checkbox becomes true or false. Where a list may be left
    out, :data:`NO_ENTRIES` is the empty list.

    A value that is no number stays text, so that the model names the fault. So does a percentage of 1 or less, because
    people who write 0.999 there mean 99.9 %.
    """
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    data: FormValues = {}
    for name, raw in schema.get("properties", {}).items():
        part = _resolved(raw, definitions)
        if part.get("type") == "boolean":
            data[name] = posted.get(name, "") in ("true", "on", "1")
            continue
        text = str(posted.get(name, "")).strip()
        if not text:
            continue
        if part.get("type") == "array" and text == NO_ENTRIES and _may_be_none(raw):
            data[name] = []
        elif part.get("type") == "array":
            data[name] = [line.strip() for line in text.splitlines() if line.strip()]
        elif part.get("unit") == "percent":
            data[name] = _ratio(text)
        else:
            data[name] = text
    return data


def errors_by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return the messages by the first part of their path. Those on the whole input are under :data:`FORM_ERRORS`."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        name = problem.path.split(".", 1)[0]
        message = problem.message.removeprefix("Value error, ")
        message = "This is needed." if message == "is missing" else message
        found.setdefault(FORM_ERRORS if name == "body" else name, []).append(message)
    return found


def errors_from(error: ValidationError, model: type[BaseModel] | None = None) -> dict[str, list[str]]:
    """Return a model's errors by field, as the page words them."""
    schema = model.model_json_schema(mode="validation") if model else {}
    definitions = schema.get("$defs", {})
    found: dict[str, list[str]] = {}
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else FORM_ERRORS
        part = _resolved(schema.get("properties", {}).get(name, {}), definitions)
        percent = part.get("unit") == "percent"
        message = (percent and slip_words(str(one.get("input", "")))) or _message(
            one["type"], one.get("ctx", {}), one["msg"], percent=percent
        )
        if message not in found.setdefault(name, []):
            found[name].append(message)
    return found


def _resolved(part: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema of one field, with its reference followed and its ``None`` alternative dropped."""
    while True:
        if "$ref" in part:
            target = definitions[str(part["$ref"]).rsplit("/", 1)[-1]]
            part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
            continue
        options = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
        if options:
            rest = {key: value for key, value in part.items() if key != "anyOf"}
            # A Decimal is "number or text"; the number has the bounds.
            best = next((option for option in options if option.get("type") == "number"), options[0])
            named = {"title": best["title"]} if "title" in best else {}
            part = {**best, **rest, **named}
            continue
        return part


def _may_be_none(raw: Schema) -> bool:
    return any(option.get("type") == "null" for option in raw.get("anyOf", ()))


def _kind(name: str, part: Schema) -> Kind:
    widget = part.get("widget")
    if widget in ("textarea", "hidden", "lines"):
        return widget  # type: ignore[no-any-return]
    if "enum" in part:
        return "select"
    by_format: dict[str, Kind] = {
        "date-time": "datetime-local",
        "date": "date",
        "password": "password",
    }
    if part.get("format") in by_format:
        return by_format[part["format"]]
    by_type: dict[str, Kind] = {
        "boolean": "checkbox",
        "integer": "number",
        "number": "number",
        "string": "text",
        "array": "lines",
    }
    if "const" in part:
        return "hidden"
    kind = by_type.get(part.get("type", ""))
    if kind is None or (kind == "lines" and part.get("items", {}).get("type") != "string"):
        raise TypeError(f"no input fits the field {name!r}: {dict(part)!r}")
    return kind


def _choices(part: Schema, *, optional: bool) -> tuple[tuple[str, str], ...]:
    labels = part.get("labels", {})
    choices = [
        (str(value), str(labels.get(value) or labels.get(str(value)) or str(value).replace("_", " ")))
        for value in part["enum"]
        if value is not None
    ]
    return (
        (("", "—"), *choices)
        if optional and "default" in part and part["default"] is None
        else tuple(choices)
    )


def _shown(value: Any, *, percent: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return _shown(value.value, percent=percent)
    if isinstance(value, datetime):
        return iso(value).removesuffix("Z")
    if isinstance(value, (list, tuple)):
        return "\n".join(str(entry) for entry in value)
    if isinstance(value, (int, float, Decimal)):
        return _bound(value, percent=percent)
    return str(value).removesuffix(_SLIP) if percent else str(value)


def _bound(value: float | Decimal | None, *, percent: bool) -> str:
    """Return a number for an input: no thousands, no exponent, in percent where the field is."""
    if value is None:
        return ""
    exact = Decimal(str(value)) * (100 if percent else 1)
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ratio(text: str) -> float | str:
    try:
        value = Decimal(text.rstrip("%").strip())
        return f"{text.rstrip('%').strip()}{_SLIP}" if 0 < value <= 1 else float(value / 100)
    except ArithmeticError:
        return text


_SLIP = " %"
"""Appended to a percentage that was written as a ratio, so that it is no number and is refused."""
_EXAMPLE = Decimal("0.999")


def slip_words(text: str) -> str:
    """Return the message for a percentage of 1 or less, which is probably a ratio; empty for any other text.

    ``0.999`` → ``This is in percent, and 0.999 % is hardly meant. Write 99.9 for 99.9 %.``
    """
    bare = text.rstrip("%").strip()
    try:
        value = Decimal(bare)
        if not text.endswith("%") or not 0 < value <= 1:
            return ""
    except ArithmeticError:
        return ""
    meant = _bound(value if Decimal("0.5") <= value < 1 else _EXAMPLE, percent=True)
    return f"This is in percent, and {bare}\u202f% is hardly meant. Write {meant} for {meant}\u202f%."


def _message(kind: str, context: Mapping[str, Any], fallback: str, *, percent: bool) -> str:
    def limit(key: str) -> str:
        value = context[key]
        if isinstance(value, (int, float, Decimal)):
            return _bound(value, percent=percent) + ("\u202f%" if percent else "")
        return str(value)

    if kind == "missing" or (kind == "string_too_short" and context.get("min_length") == 1):
        return "This is needed."
    if kind in ("float_parsing", "float_type", "decimal_parsing", "int_parsing", "int_type", "finite_number"):
        return "Write a number."
    if kind in ("int_from_float",):
        return "Write a whole number."
    if kind in ("enum", "literal_error"):
        return "Choose one from the list."
    if kind == "string_too_short":
        return f"Write at least {context['min_length']} characters."
    if kind == "string_too_long":
        return f"Write at most {context['max_length']} characters."
    bounds = {
        "greater_than": ("gt", "Must be above"),
        "greater_than_equal": ("ge", "Must be at least"),
        "less_than": ("lt", "Must be below"),
        "less_than_equal": ("le", "Must be at most"),
    }
    if kind in bounds:
        key, words = bounds[kind]
        return f"{words} {limit(key)}."
    if kind == "value_error" and percent:
        return "Write a percentage above 0\u202f% and below 100\u202f%."
    if kind == "value_error":
        return fallback.removeprefix("Value error, ")
    return fallback
