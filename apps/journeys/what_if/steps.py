"""The steps of a what-if in an address: ``step=fallback:0.9:payments-api``, one for each, in order.

The kind, its number, and then the service id, which may hold any characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from apps.catalog.schemas import service_id_problem
from apps.core.errors import FieldProblem, InvalidInput
from apps.ui.format import ms, percent, plural

MAX_STEPS = 8
SHOWN = 60
"""How many characters of a text that is no step a message quotes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step: its words, and the name and bounds of its number.

    ``is_percent`` numbers are ratios that people write in percent; ``is_whole`` ones are counts. ``reach`` says
    what it may be about: a dependency that the service calls itself, or anything below it.
    """

    key: str
    title: str
    number: str
    unit: str
    least: float
    most: float
    default: float
    is_percent: bool = False
    is_whole: bool = False
    reach: str = "direct"


KINDS: dict[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(
            "fallback", "Add a fallback", "Share of failures it answers", "%", 0.01, 1.0, 0.9, is_percent=True
        ),
        Kind(
            "queue",
            "Put a queue before it",
            "The queue's availability",
            "%",
            0.5,
            1.0,
            0.9999,
            is_percent=True,
        ),
        Kind("replica", "Add a replica", "More instances", "", 1, 5, 1, is_whole=True, reach="below"),
        Kind("retry", "Retry failed calls", "More tries", "", 1, 5, 1, is_whole=True),
        Kind("timeout", "Give up after a timeout", "Timeout", "ms", 1, 600_000, 1_000),
        Kind(
            "target",
            "Have it keep a target",
            "Its availability",
            "%",
            0.5,
            0.9999999,
            0.9999,
            is_percent=True,
            reach="below",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ChangeStep:
    """One step: its kind, its number (ratios 0..1, milliseconds, counts) and the service that it is about."""

    kind: str
    value: float
    target_id: str

    @property
    def text(self) -> str:
        """The step as the address holds it."""
        return f"{self.kind}:{self.value:.10g}:{self.target_id}"

    @property
    def words(self) -> str:
        """The step in a few words."""
        name = self.target_id
        match self.kind:
            case "fallback":
                return f"fallback for {name}, answers {percent(self.value)}"
            case "queue":
                return f"queue before {name}"
            case "replica":
                return f"{plural(int(self.value), 'more replica')} of {name}"
            case "retry":
                return f"{plural(int(self.value), 'more try', 'more tries')} of {name}"
            case "timeout":
                return f"timeout of {ms(self.value)} on {name}"
            case _:
                return f"{name} keeps {percent(self.value)}"


def as_dict(step: ChangeStep) -> dict[str, object]:
    """Return the step for a message to a worker."""
    return {"kind": step.kind, "value": step.value, "target_id": step.target_id}


def parse(text: str, at: int = 0) -> ChangeStep:
    """Read one step. Raises :class:`InvalidInput` that names ``step.<at>``."""
    kind, _, rest = text.partition(":")
    number, _, target = rest.partition(":")
    path = f"step.{at}"
    if kind not in KINDS:
        raise _wrong(path, f"A step begins with one of {', '.join(KINDS)}, not with “{kind[:SHOWN]}”.")
    return made(kind, number, target, path=path, is_typed=False)


def made(kind: str, number: str, target: str, *, path: str, is_typed: bool = True) -> ChangeStep:
    """Make a step from typed texts, with percentages as such. Raises :class:`InvalidInput` naming the field."""
    what = KINDS.get(kind)
    if what is None:
        raise _wrong("kind" if is_typed else path, "Choose one of the list.")
    if not target:
        raise _wrong("on" if is_typed else path, "Choose a service." if is_typed else "It names no service.")
    problem = service_id_problem(target)
    if problem:
        raise _wrong("on" if is_typed else path, f"The service {problem}.")
    value = _number(number, what, "value" if is_typed else path, is_typed)
    return ChangeStep(kind, value, target)


def _number(text: str, kind: Kind, path: str, is_typed: bool) -> float:
    scale = 100 if kind.is_percent and is_typed else 1
    try:
        value = float(text.strip().rstrip("%").strip()) / scale
    except ValueError:
        raise _wrong(path, f"{kind.number}: write a number.") from None
    value = round(value, 12)
    if not math.isfinite(value) or not kind.least <= value <= kind.most:
        unit = f" {kind.unit}" if kind.unit and (is_typed or not kind.is_percent) else ""
        least, most = kind.least * scale, kind.most * scale
        raise _wrong(path, f"{kind.number}: between {least:.10g} and {most:.10g}{unit}.")
    if kind.is_whole and value != int(value):
        raise _wrong(path, f"{kind.number}: write a whole number.")
    return value


def parse_all(texts: Iterable[str]) -> list[ChangeStep]:
    """Read the steps of an address, in order. Raises :class:`InvalidInput` for the first invalid one."""
    found = [parse(text, at) for at, text in enumerate(texts)]
    if len(found) > MAX_STEPS:
        raise _wrong("step", f"At most {MAX_STEPS} steps can be tried together.")
    return found


def parse_kept(texts: Sequence[str]) -> tuple[list[ChangeStep], list[FieldProblem]]:
    """Read the steps of an address, in order, and leave out invalid ones.

    The problems name each of those by its place and its text.
    """
    kept: list[ChangeStep] = []
    problems: list[FieldProblem] = []
    for at, text in enumerate(texts[:MAX_STEPS]):
        try:
            kept.append(parse(text, at))
        except InvalidInput as error:
            quoted = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
            problems += [
                FieldProblem(one.path, f"Step {at + 1}, “{quoted}”, is left out. {one.message}")
                for one in error.fields
            ]
    if len(texts) > MAX_STEPS:
        problems.append(
            FieldProblem("step", f"At most {MAX_STEPS} steps can be tried together. The others are left out.")
        )
    return kept, problems


def query(steps: Sequence[ChangeStep]) -> str:
    """Return these steps as the query string of an address."""
    return urlencode([("step", step.text) for step in steps])


def _wrong(path: str, message: str) -> InvalidInput:
    return InvalidInput("A step cannot be tried.", fields=[FieldProblem(path, message)])
