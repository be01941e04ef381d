"""The rows of statements about the graph, from any source: rows of services and of dependencies.

The same rows come over the API, from files and from observers. A row states nothing about fields that it leaves out.
"""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from apps.catalog.models import MAX_SERVICE_ID_LENGTH, DiscoverySource
from apps.catalog.validation_messages import plain
from apps.core.errors import MAX_FIELD_PROBLEMS
from apps.core.instants import AwareInstant
from apps.core.text.names import HIDDEN, NAME_PATTERN, name_problem

MAX_TEXT_LENGTH = 1_000
MAX_OBJECT_BYTES = 32 * 1024
MAX_OBJECT_LEVELS = 32
MAX_ROW_FIELDS = 50
"""More fields than any row has. Each unknown field would be a problem of its own."""
ROWS_AT_ONCE = 1_000
NAMED = MAX_FIELD_PROBLEMS - 1
"""How many problems of a list are named; one more problem counts the others."""
MAX_TIMEOUT_MS = 24 * 3600 * 1000
MAX_CALLS_PER_REQUEST = 1_000_000.0
MAX_REDUNDANCY_NEEDED = 1_000
# The same rule as a regular expression, for programs that generate requests from the API's description. JSON text holds
# no halves of surrogate pairs, and \\s differs between dialects.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_BLANKS = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_TEXT_PATTERN = f"^[^{_CONTROLS}]*$"
_ID_PATTERN = f"^[^{_BLANKS}{_CONTROLS}]([^{_CONTROLS}]*[^{_BLANKS}{_CONTROLS}])?$"
_NEW_ID_PATTERN = f"[^\\s{HIDDEN}]([^{HIDDEN}]*[^\\s{HIDDEN}])?$"
_UNUSABLE = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line break",
    "Zp": "a line break",
}


def text_problem(text: str) -> str:
    """Return why a text cannot be stored or shown on one line, or an empty string."""
    for character in text:
        found = _UNUSABLE.get(unicodedata.category(character))
        if found:
            return f"contains {found} (U+{ord(character):04X})"
    return ""


def service_id_problem(service_id: str) -> str:
    """Return why a text cannot be a service id, or an empty string."""
    if not service_id:
        return "is empty"
    if len(service_id) > MAX_SERVICE_ID_LENGTH:
        return f"has {len(service_id)} characters; at most {MAX_SERVICE_ID_LENGTH} are possible"
    if service_id != service_id.strip():
        return "begins or ends with white space"
    if service_id.isascii() and service_id.isprintable():
        return ""
    return text_problem(service_id)


def _usable_id(value: str) -> str:
    problem = service_id_problem(value)
    if problem:
        raise ValueError(f"the service id {problem}")
    return value


def _usable_new_id(value: str) -> str:
    problem = name_problem(value)
    if problem:
        raise ValueError(f"the service id {problem}")
    return value


def _usable_text(value: str) -> str:
    problem = text_problem(value)
    if problem:
        raise ValueError(f"the text {problem}")
    return value


def _object_problem(value: dict[str, Any]) -> str:
    """Return why a JSON object cannot be stored, at any depth, or an empty string."""
    waiting: list[tuple[int, Any]] = [(1, value)]
    while waiting:
        level, one = waiting.pop()
        if isinstance(one, str):
            if "\x00" in one or any(0xD800 <= ord(character) <= 0xDFFF for character in one):
                return "holds a character that cannot be stored (NUL or half of a surrogate pair)"
        elif isinstance(one, (dict, list)):
            if level > MAX_OBJECT_LEVELS:
                return f"has more than {MAX_OBJECT_LEVELS} levels"
            children = [*one.keys(), *one.values()] if isinstance(one, dict) else one
            waiting += [(level + 1, child) for child in children]
    return ""


def _usable_object(value: dict[str, Any]) -> dict[str, Any]:
    problem = _object_problem(value)
    if problem:
        raise ValueError(f"the object {problem}")
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except ValueError:
        raise ValueError("the object holds NaN or an infinity") from None
    if size > MAX_OBJECT_BYTES:
        raise ValueError(f"the object has {size:,} bytes; at most {MAX_OBJECT_BYTES:,} are possible")
    return value


ServiceId = Annotated[
    str,
    AfterValidator(_usable_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_SERVICE_ID_LENGTH,
            "pattern": _ID_PATTERN,
            "description": "Any characters except control characters; no white space at either end.",
        }
    ),
]
NewServiceId = Annotated[
    str,
    AfterValidator(_usable_id),
    AfterValidator(_usable_new_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_SERVICE_ID_LENGTH,
            "pattern": NAME_PATTERN.replace(f"[^{HIDDEN}]*$", _NEW_ID_PATTERN),
            "description": "No white space at either end, no character that cannot be seen, and no letters side by "
            "side that belong to alphabets that look alike.",
        }
    ),
]
"""The id of a new service. Ids that are in the catalog already may break these rules."""
Text = Annotated[
    str,
    Field(max_length=MAX_TEXT_LENGTH, json_schema_extra={"pattern": _TEXT_PATTERN}),
    AfterValidator(_usable_text),
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_usable_object)]
ServiceCriticality = Literal["critical", "high", "medium", "low"]
EdgeCriticality = Literal["hard", "soft", "degraded"]
Mode = Literal["sync", "async"]
PublishedSla = Annotated[
    Decimal,
    Field(ge=Decimal("0.00000001"), le=Decimal("0.99999999"), description="A ratio: 99.9 % is 0.999."),
    WithJsonSchema({"type": "number", "minimum": 0.00000001, "maximum": 0.99999999}),
]


_SHORT_NAMES = {"otel": "otel_service_graph", "k8s": "kubernetes", "mesh": "service_mesh"}


def _discovery_source(value: object) -> object:
    return _SHORT_NAMES.get(value, value) if isinstance(value, str) else value


Source = Annotated[DiscoverySource, BeforeValidator(_discovery_source)]
"""The source of a statement; ``otel``, ``k8s`` and ``mesh`` stand for the long names."""


class Row(BaseModel):
    """The base of all rows. Unknown fields are refused; texts stay as they are."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _has_not_too_many_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MAX_ROW_FIELDS:
            raise ValueError(f"the row has {len(value):,} fields; at most {len(cls.model_fields)} are known")
        return value


class ServiceRow(Row):
    """A statement about one service."""

    service_id: ServiceId
    team: Text | None = None
    criticality: ServiceCriticality | None = None
    external: bool | None = Field(default=None, validation_alias=AliasChoices("external", "is_external"))
    published_sla: PublishedSla | None = None
    archetype: Text | None = None
    on_call: Text | None = None
    failure_semantics: JsonObject | None = Field(
        default=None, description="What callers see when the service fails: callers_see, is_retry_safe."
    )
    capacity: JsonObject | None = Field(
        default=None,
        description="The load that the service was built for: max_requests_per_second, max_concurrency, notes.",
    )
    metadata: JsonObject | None = None


class DependencyRow(Row):
    """A statement about one edge: ``source`` calls ``target``."""

    source: ServiceId
    target: ServiceId
    mode: Mode | None = Field(default=None, validation_alias=AliasChoices("mode", "communication_mode"))
    criticality: EdgeCriticality | None = None
    protocol: Text | None = None
    timeout_ms: Annotated[int, Field(ge=0, le=MAX_TIMEOUT_MS)] | None = None
    retry_config: JsonObject | None = Field(
        default=None,
        description="How the caller retries; max_retries is read, or max_attempts, which is one more.",
    )
    calls_per_request: Annotated[float, Field(ge=0, le=MAX_CALLS_PER_REQUEST, allow_inf_nan=False)] | None = (
        Field(default=None, description="Calls over this edge for each request to the source.")
    )
    redundancy_group: Text | None = Field(
        default=None, description="Targets of one source that share a group stand in for each other."
    )
    redundancy_needed: Annotated[int, Field(ge=1, le=MAX_REDUNDANCY_NEEDED)] | None = Field(
        default=None, description="How many targets of the group must be up; by default one is enough."
    )
    observed_at: AwareInstant | None = Field(
        default=None, description="When the edge was last seen; by default the time of the whole request."
    )


def _validated_by_and_by(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a list of rows in portions, so that the problems of a body of many megabytes need little memory.

    The error names the first :data:`NAMED` problems and counts the others. For the whole list at once, Pydantic would
    keep a record of a kilobyte for each problem.
    """
    if not isinstance(value, list):
        return validate(value)
    rows: list[Any] = []
    named: list[InitErrorDetails] = []
    count = 0
    for start in range(0, len(value), ROWS_AT_ONCE):
        try:
            rows += validate(value[start : start + ROWS_AT_ONCE])
        except ValidationError as error:
            count += error.error_count()
            if len(named) < NAMED:
                named += _moved(error, start)[: NAMED - len(named)]
    if count > len(named):
        more = PydanticCustomError("more", "{count} more values are not valid", {"count": count - len(named)})
        named.append(InitErrorDetails(type=more, loc=(), input=None))
    if named:
        raise ValidationError.from_exception_data("rows", named)
    return rows


def _moved(error: ValidationError, start: int) -> list[InitErrorDetails]:
    """Return an error's problems with the rows counted from ``start``."""
    moved = []
    for item in error.errors(include_url=False):
        row, *rest = item["loc"]
        message = PydanticCustomError("row", "{message}", {"message": plain(item)})
        moved.append(InitErrorDetails(type=message, loc=(start + int(row), *rest), input=None))
    return moved


ServiceRows = Annotated[list[ServiceRow], WrapValidator(_validated_by_and_by)]
DependencyRows = Annotated[list[DependencyRow], WrapValidator(_validated_by_and_by)]
