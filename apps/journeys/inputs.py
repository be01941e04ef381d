"""The inputs of the actions on journeys, with their messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from apps.catalog.schemas import ServiceId
from apps.core.actions import ActionInput
from apps.core.text.names import FILLED_NAME_PATTERN, NAME_PATTERN, usable_name
from apps.journeys.models import MAX_NAME_LENGTH
from apps.slos.actions import inside, no_percentage

MAX_PATHS = 12
MAX_STEPS = 40
MAX_CALLS = 100
MAX_LATENCY_TARGET_MS = 86_400_000.0


Target = Annotated[
    float,
    Field(
        allow_inf_nan=False,
        description="The share of journeys that must succeed.",
        json_schema_extra={"unit": "percent"},
    ),
    BeforeValidator(no_percentage),
    AfterValidator(inside),
]


def _time(value: float) -> float:
    if not 0 < value <= MAX_LATENCY_TARGET_MS:
        raise ValueError("A latency target must be above 0 ms and at most a day (86,400,000 ms).")
    return value


LatencyTarget = Annotated[
    float,
    Field(
        allow_inf_nan=False,
        description="The time within which 95 % of the journeys must end, in milliseconds.",
        json_schema_extra={"unit": "ms"},
    ),
    AfterValidator(_time),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_LENGTH, json_schema_extra={"pattern": FILLED_NAME_PATTERN}),
    AfterValidator(usable_name),
]
PathName = Annotated[
    str,
    Field(max_length=MAX_NAME_LENGTH, json_schema_extra={"pattern": NAME_PATTERN}),
    AfterValidator(usable_name),
]


class StepInput(BaseModel):
    """One service on a path."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    service_id: ServiceId
    calls: float = Field(
        default=1.0,
        gt=0,
        le=MAX_CALLS,
        allow_inf_nan=False,
        description="Calls per journey; 0.3 means that three journeys in ten use it.",
    )


class PathInput(BaseModel):
    """One path of the journey."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: PathName = ""
    weight: float = Field(
        default=1.0, gt=0, le=1e6, allow_inf_nan=False, description="Its share, relative to the other paths'."
    )
    steps: list[StepInput] = Field(min_length=1, max_length=MAX_STEPS)


class JourneyFields(ActionInput):
    """The fields of a journey."""

    name: Name
    team: str | None = Field(default=None, max_length=1000, description="The team that owns it.")
    description: str = Field(default="", max_length=2000)
    target: Target | None = None
    latency_target_ms: LatencyTarget | None = None
    paths: list[PathInput] = Field(min_length=1, max_length=MAX_PATHS)
    rationale: str = Field(default="", max_length=2000)


class CreateInput(JourneyFields):
    pass


class EditInput(JourneyFields):
    journey: str = Field(min_length=1, max_length=200, description="Its slug.")
    version: int = Field(ge=1, description="The version that you saw; refused if it has changed.")


class DeleteInput(ActionInput):
    journey: str = Field(min_length=1, max_length=200, json_schema_extra={"widget": "hidden"})
    version: int = Field(ge=1, json_schema_extra={"widget": "hidden"})
    rationale: str = Field(default="", max_length=2000, json_schema_extra={"widget": "textarea"})
