"""Each pattern of the OpenAPI document is just what the server enforces, for every text that has one."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from apps.core.actions import AnyAction, get, offered_actions
from apps.core.dispatcher import parse
from apps.core.errors import InvalidInput
from apps.core.idempotency import KEY
from console.api import api

type Place = tuple[str | int, ...]
NOT_TEXT = "Cs"
"""Halves of pairs, which no JSON text holds."""
PLAIN = {"Lu", "Ll", "Lo", "Lm", "Lt", "Mn", "Mc", "So", "Sm", "Nd", "No", "Nl", "Po"}
LETTERS = "abcxyzAZ019._- @+/\u00e9\u00df\u0142\u03b1\u03bf\u0391\u0430\u0441\u0410\u0436\u0578\u0301\u6771"
DRAWN_AT_RANDOM = 400

ODD = [
    one
    for one in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(one) not in {NOT_TEXT, "Cn", "Co", *PLAIN}
]
"""Every control, format, white-space and punctuation character."""


@dataclass(frozen=True)
class PatternedField:
    """A text in the input of an action, and the schema that the document gives it."""

    action: AnyAction
    at: Place
    schema: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.action.name} {'.'.join(map(str, self.at))}"

    def is_refused(self, text: str) -> bool:
        """Whether the server names this field as one that it cannot take. Other fields may be wrong besides."""
        data: Any = text
        for part in reversed(self.at):
            data = [data] if isinstance(part, int) else {part: data}
        try:
            self.action.Input.model_validate(data)
        except ValidationError as error:
            return any(item["loc"][: len(self.at)] == self.at for item in error.errors(include_url=False))
        return False


def document() -> dict[str, Any]:
    return dict(api.get_openapi_schema())


def patterned(
    schema: dict[str, Any], schemas: dict[str, Any], at: Place = ()
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every text with a pattern below a schema, and its place."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "pattern" in schema:
        yield at, schema
    for name, part in schema.get("properties", {}).items():
        yield from patterned(part, schemas, (*at, name))
    if "items" in schema:
        yield from patterned(schema["items"], schemas, (*at, 0))
    for choice in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(choice, ()):
            yield from patterned(part, schemas, at)


def fields() -> list[PatternedField]:
    found = document()
    schemas = found["components"]["schemas"]
    paths = found["paths"]
    all_fields = []
    for action in offered_actions():
        body = paths[f"/api/v1/actions/{action.name}"]["post"]["requestBody"]
        schema = body["content"]["application/json"]["schema"]
        all_fields += [PatternedField(action, at, part) for at, part in patterned(schema, schemas)]
    return all_fields


FIELDS = fields()


def texts(field: PatternedField) -> Iterator[str]:
    """Each odd character at the beginning, in the middle, at the end and alone, and texts drawn from a seed."""
    for one in ODD:
        yield from (one, f"{one}a", f"a{one}b", f"a{one}")
    draw = random.Random(str(field))
    longest = int(field.schema.get("maxLength", 30))
    for _ in range(DRAWN_AT_RANDOM):
        yield "".join(draw.choices(LETTERS + draw.choice(ODD), k=draw.randrange(9)))
    yield from ("a" * longest, "a" * (longest + 1), "", " ", "  ")


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_the_server_refuses_just_what_the_pattern_refuses(field: PatternedField) -> None:
    limits: dict[str, Any] = {
        key: field.schema[key] for key in ("minLength", "maxLength", "pattern") if key in field.schema
    }
    validator = jsonschema_rs.validator_for({"type": "string", **limits})
    is_trimmed = bool(field.action.Input.model_config.get("str_strip_whitespace"))
    wrong = []
    for text in texts(field):
        fits, taken = validator.is_valid(text), not field.is_refused(text)
        # Where actions trim their texts, blanks around one that fits are no reason to refuse it.
        if fits != taken and not (taken and is_trimmed and validator.is_valid(text.strip())):
            wrong.append((text, "only the server refuses it" if fits else "only the pattern refuses it"))
    assert not wrong, (len(wrong), wrong[:20])


def test_every_pattern_of_the_document_is_tried() -> None:
    def places(node: Any) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                yield node["pattern"], str(node.get("title", ""))
            node = list(node.values())
        if isinstance(node, list):
            for part in node:
                yield from places(part)

    found = document()
    tried = {(field.schema["pattern"], str(field.schema.get("title", ""))) for field in FIELDS}
    assert set(places(found["components"])) == tried
    assert {pattern for pattern, _ in places(found["paths"])} == {"^[!-~]+$"}


def test_the_pattern_of_an_idempotency_key_is_the_servers() -> None:
    validator = jsonschema_rs.validator_for(
        {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 255}
    )
    for text in [
        *ODD,
        *(f"a{one}b" for one in ODD),
        *(f"a{one}" for one in ODD),
        "a",
        "",
        "a" * 255,
        "a" * 256,
    ]:
        assert validator.is_valid(text) == (KEY.fullmatch(text) is not None), text


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(get("accounts.create_api_key"), {"name": "pay\u202eipa"})
    assert [problem.path for problem in refusal.value.fields] == ["name"]
    assert "U+202E" in refusal.value.fields[0].message
