"""The fields that the inputs of these actions share, with the messages that people read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from apps.core import actions
from apps.core.actions import ActionInput, Undo, blank_is_empty, taken_back
from apps.core.models import AuditEntry
from apps.slos.formatting import is_latency
from apps.slos.models import SliType
from apps.slos.objectives import lifecycle

MAX_RATIONALE = 2_000

type TierName = Literal["conservative", "balanced", "aggressive"]


def _not_blank(text: str) -> str:
    if not text:
        raise ValueError("Say why, in a sentence: it stands in the audit trail.")
    return text


def no_percentage(value: object) -> object:
    """Refuse a target that was meant in percent, and say what to write."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 < value <= 100:
        raise ValueError(f"A target is a ratio between 0 and 1: write {value / 100:.10g} for {value:g} %.")
    return value


def inside(value: float) -> float:
    """Hold a target between 0 and 1, both left out."""
    if not 0 < value < 1:
        raise ValueError("A target must lie above 0 and below 1.")
    return value


Rationale = Annotated[
    str,
    AfterValidator(_not_blank),
    Field(max_length=MAX_RATIONALE, json_schema_extra={"widget": "textarea", "minLength": 1}),
]
OptionalRationale = Annotated[str, Field(max_length=MAX_RATIONALE, json_schema_extra={"widget": "textarea"})]
Target = Annotated[
    float,
    Field(
        allow_inf_nan=False,
        description="The share of requests that must succeed.",
        json_schema_extra={
            "unit": "percent",
            "minimum": float(lifecycle.SMALLEST),
            "maximum": float(lifecycle.LARGEST),
        },
    ),
    BeforeValidator(no_percentage),
    AfterValidator(inside),
]
Threshold = Annotated[
    float,
    Field(
        gt=0,
        le=86_400_000,
        allow_inf_nan=False,
        description="The percentile must stay at or under this.",
        json_schema_extra={"unit": "ms"},
    ),
]
Version = Annotated[
    int,
    Field(
        ge=0,
        json_schema_extra={"widget": "hidden"},
        description="The version of the SLO you saw; 0 for none.",
    ),
]


def number_fits_the_sli(schema: dict[str, Any]) -> None:
    """Say in a schema that an availability comes with a target and a latency with a threshold, and no more."""
    is_latency = {"sli_type": {"enum": ["latency_p95", "latency_p99"]}}
    is_availability = {"sli_type": {"const": "availability"}}
    schema["oneOf"] = [
        {
            "title": "Availability",
            "properties": is_availability | {"target": {"type": "number"}, "threshold_ms": {"type": "null"}},
            "required": ["target"],
        },
        {
            "title": "Latency",
            "properties": is_latency | {"target": {"type": "null"}, "threshold_ms": {"type": "number"}},
            "required": ["threshold_ms"],
        },
    ]
    blank_is_empty(schema)


def undone(entry: AuditEntry) -> Undo:
    """Return the call that takes back a change of an SLO: the SLO before it holds again, or none does."""
    before, after = entry.before, entry.after
    now, then = after or {}, before or {}
    sli_type = (now or then)["sli_type"]
    values = {
        "service_id": entry.service_id,
        "sli_type": sli_type,
        "expected_version": now.get("version", 0),
        "rationale": taken_back(actions.get(entry.action)),
    }
    if before is None:
        return Undo("slos.retire", values)
    number = "threshold_ms" if is_latency(sli_type) else "target"
    values |= {number: then[number], "window_days": then["window_days"]}
    return Undo("slos.edit" if after else "slos.set", values)


class SloInput(ActionInput):
    """Which SLO: one service, one kind of SLI."""

    service_id: str = Field(min_length=1, max_length=255, json_schema_extra={"widget": "hidden"})
    sli_type: SliType = Field(title="SLI", json_schema_extra={"widget": "hidden"})
