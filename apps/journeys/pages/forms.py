"""The form of a journey: its contents, and the action's input that they mean.

A path has one service a line, in order. ``fraud-api × 0.3`` is a service that three journeys in ten use.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from django.http import QueryDict

from apps.core.errors import FieldProblem
from apps.journeys.documents import PathPart, StepPart
from apps.journeys.formatting import shares, step_words
from apps.journeys.inputs import MAX_CALLS, MAX_LATENCY_TARGET_MS, MAX_PATHS
from apps.journeys.models import MAX_NAME_LENGTH, Journey
from apps.ui.format import number
from apps.ui.forms import Field, slip_words

_WITH_CALLS = re.compile(r"^(?P<name>.+?)\s+[×xX*]\s*(?P<calls>[-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?)$")
_THOUSANDS = re.compile(r"^\d{1,3}(,\d{3})+(\.\d+)?$")
_IN_STEP = re.compile(r"^paths\.(\d+)\.steps\.(\d+)(?:\.|$)")
_IN_PATH = re.compile(r"^paths\.(\d+)(?:\.(\w+))?")


@dataclass(frozen=True, slots=True)
class PathState:
    """One path as it is typed."""

    name: str = ""
    share: str = ""
    steps: str = ""


class JourneyInput(TypedDict, total=False):
    """What the form means, as the actions take it."""

    name: str
    team: str | None
    description: str
    rationale: str
    paths: list[PathPart]
    target: float
    latency_target_ms: float
    journey: str
    version: str


@dataclass(frozen=True, slots=True)
class FormState:
    """The whole form as it is typed."""

    name: str = ""
    team: str = ""
    target: str = ""
    latency_target: str = ""
    description: str = ""
    rationale: str = ""
    version: str = ""
    key: str = ""
    paths: Sequence[PathState] = field(default_factory=lambda: (PathState(share="100"),))


def blank(team: str = "", steps: Sequence[str] = ()) -> FormState:
    """Return the form of a new journey."""
    return FormState(team=team, key=uuid.uuid4().hex, paths=(PathState(share="100", steps="\n".join(steps)),))


def of_journey(journey: Journey) -> FormState:
    """Return the form of an existing journey."""
    target = "" if journey.target is None else f"{journey.target * 100:.10g}"
    return FormState(
        name=journey.name,
        team=journey.team.name if journey.team else "",
        target=target,
        latency_target="" if journey.latency_target_ms is None else f"{journey.latency_target_ms:.10g}",
        description=journey.description,
        version=str(journey.version),
        key=uuid.uuid4().hex,
        paths=tuple(
            PathState(
                str(path.get("name", "")), f"{share * 100:.10g}", "\n".join(map(step_words, path["steps"]))
            )
            for path, share in zip(journey.paths, shares(journey.paths), strict=True)
        ),
    )


def posted(data: QueryDict) -> FormState:
    """Return the posted form, with the path added or removed that its button asks for."""
    count = data.get("paths", "1")
    amount = (
        max(1, min(MAX_PATHS, int(count))) if count.isascii() and count.isdigit() and len(count) < 4 else 1
    )
    paths = [
        PathState(
            data.get(f"path-{at}-name", "").strip(),
            data.get(f"path-{at}-share", "").strip(),
            data.get(f"path-{at}-steps", "").replace("\r\n", "\n").strip(),
        )
        for at in range(amount)
    ]
    do = data.get("do", "")
    if do == "add-path" and len(paths) < MAX_PATHS:
        paths.append(PathState())
    removed = re.fullmatch(r"remove-path-(\d{1,2})", do)
    if removed and int(removed[1]) < len(paths) > 1:
        del paths[int(removed[1])]
    return FormState(
        **{
            name: data.get(name, "").strip()
            for name in (
                "name",
                "team",
                "target",
                "latency_target",
                "description",
                "rationale",
                "version",
                "key",
            )
        },
        paths=tuple(paths),
    )


def data_of(state: FormState, journey: Journey | None) -> tuple[JourneyInput, list[FieldProblem]]:
    """Return the action's input that the form means, and problems with fields that cannot be read."""
    problems: list[FieldProblem] = []
    data: JourneyInput = {
        "name": state.name,
        "team": state.team or None,
        "description": state.description,
        "rationale": state.rationale,
        "paths": [_path(path, at, problems) for at, path in enumerate(state.paths)],
    }
    if state.target:
        target = _number(state.target)
        slip = slip_words(f"{target:.12g} %") if target is not None else ""
        if slip:
            problems.append(FieldProblem("target", slip))
        elif target is None or not 0 < target < 100:
            problems.append(FieldProblem("target", "Write a percentage above 0 and below 100."))
        else:
            data["target"] = target / 100
    if state.latency_target:
        within = _milliseconds(state.latency_target)
        if within is None or not 0 < within <= MAX_LATENCY_TARGET_MS:
            problems.append(
                FieldProblem("latency_target_ms", "Write a time in ms, above 0 and at most a day.")
            )
        else:
            data["latency_target_ms"] = within
    if journey is not None:
        data |= {"journey": journey.slug, "version": state.version}
    if not state.name:
        problems.append(FieldProblem("name", "This is needed."))
    return data, problems


def _milliseconds(text: str) -> float | None:
    """Read a time in ms. A comma before three digits separates thousands, as on the pages."""
    bare = text.lower().removesuffix("ms").strip()
    return _number(bare.replace(",", "") if _THOUSANDS.match(bare) else bare)


def _path(path: PathState, at: int, problems: list[FieldProblem]) -> PathPart:
    share = _number(path.share)
    if share is None or share <= 0:
        problems.append(FieldProblem(f"paths.{at}.weight", "Write a number above 0."))
    steps = [_step(line) for _, line in _lines(path)]
    for step, (_, line) in enumerate(_lines(path)):
        calls = steps[step].get("calls", 1.0)
        if not 0 < calls <= MAX_CALLS:
            problems.append(
                FieldProblem(
                    f"paths.{at}.steps.{step}.calls",
                    f"“{line}” needs a number of calls above 0 and at most {MAX_CALLS}, such as × 0.3 or × 2.",
                )
            )
    if not steps:
        problems.append(FieldProblem(f"paths.{at}.steps", "Name at least one service."))
    return {"name": path.name, "weight": share or 1.0, "steps": steps}


def _lines(path: PathState) -> list[tuple[int, str]]:
    """Return the lines of a path that are not empty, each with its number as people count."""
    texts = enumerate(path.steps.split("\n"), start=1)
    return [(number, text.strip()) for number, text in texts if text.strip()]


def _place(state: FormState, path: str) -> str:
    """Return where a problem with a step is: ``Path 1, line 2: ``; empty for any other problem."""
    found = _IN_STEP.match(path)
    if found is None:
        return ""
    at, step = int(found[1]), int(found[2])
    lines = _lines(state.paths[at]) if at < len(state.paths) else []
    return f"Path {at + 1}, line {lines[step][0]}: " if step < len(lines) else ""


def _step(line: str) -> StepPart:
    found = _WITH_CALLS.match(line)
    calls = _number(found["calls"]) if found else None
    return (
        {"service_id": line}
        if found is None or calls is None
        else {"service_id": found["name"], "calls": calls}
    )


def _number(text: str) -> float | None:
    try:
        value = float(text.rstrip("%").strip().replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None


@dataclass(frozen=True, slots=True)
class PathFields:
    """A path's inputs. ``remove`` is the value of its remove button, empty for the only path."""

    title: str
    name: Field
    share: Field
    steps: Field
    remove: str


@dataclass(frozen=True, slots=True)
class Form:
    """The form as its template draws it."""

    fields: Sequence[Field]
    paths: Sequence[PathFields]
    after: Sequence[Field]
    errors: Sequence[str]
    hidden: Mapping[str, str]
    may_add: bool
    total: str


def drawn(
    state: FormState,
    teams: Sequence[str],
    problems: Sequence[FieldProblem] = (),
    *,
    may_be_without_team: bool,
) -> Form:
    """Return the inputs with their values and problems."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        message = problem.message.removeprefix("Value error, ")
        errors.setdefault(_input_of(problem.path), []).append(_place(state, problem.path) + message)

    def one(name: str, label: str, value: str, **more: Any) -> Field:
        made = Field(name=name, label=label, value=value, **more)
        return replace(made, errors=tuple(dict.fromkeys(errors.pop(name, ()))))

    choices = [("", "no team")] if may_be_without_team or not teams else []
    choices += [(team, team) for team in teams]
    fields = [
        one("name", "Name", state.name, required=True, max_length=str(MAX_NAME_LENGTH)),
        one("team", "Team", state.team, kind="select", choices=tuple(choices)),
        one(
            "target",
            "Target",
            state.target,
            unit="%",
            may_be_empty=True,
            help="The share of journeys that must succeed, such as 99.5.",
        ),
        one(
            "latency_target",
            "Latency target",
            state.latency_target,
            unit="ms",
            may_be_empty=True,
            help="The time within which 95 % of the journeys must end, such as 1200.",
        ),
        one(
            "description",
            "Description",
            state.description,
            kind="textarea",
            may_be_empty=True,
            max_length="2000",
        ),
    ]
    alone = len(state.paths) == 1
    paths = [
        PathFields(
            title=f"Path {at + 1}",
            name=one(
                f"path-{at}-name", "Called", path.name, may_be_empty=True, max_length=str(MAX_NAME_LENGTH)
            ),
            share=one(f"path-{at}-share", "Share of the journeys", path.share, unit="%", required=True),
            steps=one(
                f"path-{at}-steps",
                "Services, one a line, in order",
                path.steps,
                kind="textarea",
                required=True,
                help="fraud-api × 0.3 is a service that three journeys in ten use; × 2 one that is called twice.",
            ),
            remove="" if alone else f"remove-path-{at}",
        )
        for at, path in enumerate(state.paths)
    ]
    after = [one("rationale", "Why", state.rationale, kind="textarea", may_be_empty=True, max_length="2000")]
    typed = [share for share in (_number(path.share) for path in state.paths) if share is not None]
    return Form(
        fields,
        paths,
        after,
        [text for texts in errors.values() for text in texts],
        {"paths": str(len(paths)), "version": state.version, "key": state.key},
        len(paths) < MAX_PATHS,
        "" if abs(sum(typed) - 100) < 0.05 else number(sum(typed), 1),
    )


def _input_of(path: str) -> str:
    """Return the input that a problem belongs to."""
    found = _IN_PATH.match(path)
    if found is None:
        return "latency_target" if path == "latency_target_ms" else path
    part = {"weight": "share", "name": "name"}.get(found[2] or "", "steps")
    return f"path-{found[1]}-{part}"
