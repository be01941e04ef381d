"""The what-if page of a service: steps as chips, today beside the steps, what each step does and means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.http import QueryDict

from apps.catalog.models import Service
from apps.core.errors import BallastError, FieldProblem, InvalidInput
from apps.journeys.documents import LevelPart, LoadPart, Offers, StepLevel, WhatIfDone
from apps.journeys.pages.presenting import try_url
from apps.journeys.what_if import computation
from apps.journeys.what_if.steps import KINDS, MAX_STEPS, ChangeStep, Kind, made, parse_kept
from apps.slos.formatting import TIERS, with_ordered_intervals
from apps.ui.format import chance_words, percent, plural, points
from apps.ui.forms import Field


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address requests: steps to try, the step that a form adds (``None`` without one), and problems."""

    steps: list[ChangeStep]
    added: ChangeStep | None
    problems: Sequence[FieldProblem]
    kind: str
    on: str
    value: str
    is_choosing: bool


def asked(given: QueryDict) -> Asked:
    """Read an address: ``step`` once for each step, ``kind``, ``on`` and ``value`` from the form."""
    kind = given.get("kind", "")
    is_choosing = "choose" in given
    steps, problems = parse_kept(given.getlist("step"))
    added: ChangeStep | None = None
    if kind and not is_choosing and not problems:
        value = given.get("value", "")
        drawn_for = given.get("for", kind)
        if drawn_for != kind and value == _default(drawn_for):
            value = ""  # Nobody typed it: it is the default of another kind.
        try:
            added = made(kind, value or _default(kind), given.get("on", ""), path="value")
            if len(steps) >= MAX_STEPS:
                problems = [FieldProblem("kind", f"At most {MAX_STEPS} steps can be tried together.")]
                added = None
        except InvalidInput as error:
            problems = list(error.fields)
    return Asked(steps, added, problems, kind, given.get("on", ""), given.get("value", ""), is_choosing)


@dataclass(frozen=True, slots=True)
class Chip:
    """A step; ``remove_url`` is the same page without it."""

    words: str
    remove_url: str


@dataclass(frozen=True, slots=True)
class Row:
    """One figure today and with the steps."""

    name: str
    missed: str
    before: str
    before_interval: str
    after: str
    after_interval: str
    change: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """What one step adds to those before it."""

    number: int
    words: str
    composite: str
    balanced: str
    change: str
    told: Sequence[str]
    unseen: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The page."""

    service: Service
    chips: Sequence[Chip]
    clear_url: str
    answer: str
    rows: Sequence[Row]
    rows_note: str
    steps: Sequence[StepRow]
    loads: Sequence[LoadPart]
    as_of: str
    reason: str
    notes: Sequence[str]
    fields: Sequence[Field]
    errors: Sequence[str]
    hidden: Sequence[str]
    may_add: bool
    failure: BallastError | None
    status: int


def page(service: Service, wanted: Asked, *, may_wait: bool = True) -> WhatIf:
    """Have a worker try the steps, and lay out its answer."""
    steps = list(wanted.steps)
    document: WhatIfDone | None = None
    failure: BallastError | None = None
    problems = list(wanted.problems)
    try:
        answer = computation.what_if(service.pk, steps)
        if answer["state"] == "impossible":
            at = answer["step"]
            problems.append(FieldProblem(f"step.{at}", _impossible(steps, at, answer["detail"])))
            answer = computation.what_if(service.pk, steps[:at])
        if answer["state"] == "done":
            document = answer
    except BallastError as error:
        failure = error
    here = try_url(service.service_id, [])
    form = _form(service, wanted, problems, document["offers"] if document else None)
    window = document["window_days"] if document else settings.WINDOW_DAYS
    ladder: list[LevelPart] = [document["before"], *document["steps"]] if document else []
    return WhatIf(
        service=service,
        chips=[
            Chip(step.words, try_url(service.service_id, [*steps[:at], *steps[at + 1 :]]))
            for at, step in enumerate(steps)
        ],
        clear_url=here if steps else "",
        answer=document["sentence"] if document else "",
        rows=_rows(document) if document else [],
        rows_note=f"availability over {plural(window, 'day')} · below: 90 % interval",
        steps=[
            _step(at, steps[at], ladder[at], found)
            for at, found in enumerate(document["steps"] if document else ())
        ],
        loads=document["after"]["loads"] if document else [],
        as_of=document["as_of"] if document else "",
        reason=(document and document["reason"]) or "",
        notes=_notes(document) if document else [],
        fields=form,
        errors=[problem.message for problem in problems if problem.path not in ("kind", "on", "value")],
        hidden=[step.text for step in steps],
        may_add=len(steps) < MAX_STEPS and failure is None,
        failure=failure,
        status=failure.status if failure else InvalidInput.status if problems else 200,
    )


def _impossible(steps: Sequence[ChangeStep], at: int, why: str) -> str:
    """Say which step cannot be tried, and that those after it were not tried either."""
    later = ", and so are those after it" if at + 1 < len(steps) else ""
    return f"Step {at + 1}, {steps[at].words}, is left out{later}. {why}"


def _default(kind: str) -> str:
    what = KINDS.get(kind)
    return "" if what is None else f"{what.default * (100 if what.is_percent else 1):.10g}"


def _form(
    service: Service, wanted: Asked, problems: Sequence[FieldProblem], offers: Offers | None
) -> list[Field]:
    kind: Kind = KINDS.get(wanted.kind) or KINDS["fallback"]
    direct, below = (offers["direct"], offers["below"]) if offers else ([], [])
    choices = [(name, name) for name in direct]
    if kind.reach == "below":
        choices += [(name, f"{name} (further down)") for name in below]
    if kind.key == "replica":
        choices.insert(0, (service.service_id, f"{service.service_id} (itself)"))
    value = wanted.value if wanted.value and not wanted.is_choosing else _default(kind.key)
    fields = [
        Field(
            "kind",
            "What to change",
            kind="select",
            value=kind.key,
            choices=tuple((each.key, each.title) for each in KINDS.values()),
        ),
        Field(
            "on", "Of", kind="select", value=wanted.on, choices=tuple(choices or [("", "it calls nothing")])
        ),
        Field("value", kind.number, value=value, unit=kind.unit, required=True),
    ]
    return [
        replace(one, errors=tuple(problem.message for problem in problems if problem.path == one.name))
        for one in fields
    ]


def _rows(document: WhatIfDone) -> list[Row]:
    before, after, window = document["before"], document["after"], document["window_days"]
    rows = []
    tiers = [with_ordered_intervals(each["tiers"] or {}) for each in (before, after)]
    for name in TIERS:
        old, new = (each.get(name) for each in tiers)
        if old and new:
            rows.append(
                Row(
                    name,
                    chance_words(old["breach_probability"], window),
                    percent(old["target"]),
                    _interval(old["interval"]),
                    percent(new["target"]),
                    _interval(new["interval"]),
                    _moved(old["target"], new["target"]),
                )
            )
    old_point, new_point = before["composite"], after["composite"]
    if old_point is not None and new_point is not None:
        rows.append(
            Row(
                "composite",
                "",
                percent(old_point),
                "",
                percent(new_point),
                "",
                _moved(old_point, new_point),
            )
        )
    return rows


def _interval(ends: Sequence[float]) -> str:
    return f"{percent(ends[0])} to {percent(ends[1])}"


def _moved(old: float, new: float) -> str:
    return "no change" if abs(new - old) < 5e-8 else points(new - old)


def _step(at: int, step: ChangeStep, level: LevelPart, found: StepLevel) -> StepRow:
    """What one step adds to the ``level`` before it."""
    before, after = (
        each["tiers"]["balanced"]["target"] if each["tiers"] else None for each in (level, found)
    )
    unseen = found["unseen"]
    return StepRow(
        number=at + 1,
        words=step.words,
        composite=percent(found["composite"]),
        balanced=percent(after),
        change="—" if before is None or after is None else _moved(before, after),
        told=found["told"],
        unseen=f"The service's own history has no failure that came from {', '.join(unseen)}, so this changes only "
        "the composite, not the tiers."
        if unseen
        else "",
    )


def _notes(document: WhatIfDone) -> list[str]:
    unknown = document["unknown"]
    if not unknown:
        return []
    names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    return [f"There are no data on {names}: the figures assume that they never fail."]
