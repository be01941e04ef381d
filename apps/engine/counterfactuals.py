"""What would have to be different for the target to be different, found by running the engine on changed pasts.

A cause is scaled as a whole: a dependency at 99.995 % instead of 99.98 % fails us a quarter as often. The changed
past is forecast anew, and its edges are estimated anew where that may matter, so that every sentence is true of a
whole new run on the input that ``apps.engine.what_if`` makes. Figures are rounded to the careful side first and
evaluated then.

The forecast moves in steps and not always the same way. What one more nine needs is therefore a scale at which it is
reached, and if possible at the next smaller one that was tried as well; and a change that would move the target the
wrong way is left out: it tells of the forecast and not of the service.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from apps.engine.counting import needed_requests
from apps.engine.decomposition import Cause
from apps.engine.pasts import Change, ChangedPasts
from apps.engine.rounding import percent
from apps.engine.tiers import WindowModel
from apps.engine.what_if import EVERYTHING, KnownPast

MAX_CAUSES = 2
"""Causes that get one nine more and one nine less: the heaviest."""
MAX_SEARCHED = 3
"""Causes that are asked for what one more nine needs, before all of them together: the heaviest."""
NINES = (("one_nine_better", 0.1), ("one_nine_worse", 10.0))
COARSE = (0.3, 0.15, 0.08, 0.04, 0.02, 0.01, 0.003, 0.001)
FINE = 4
"""Scales that are tried between one that is small enough and the next larger one."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """``kind`` says which question; ``change`` is the cause with its new level, ``result`` the balanced
    target then.

    ``scale`` is the factor on the cause's failures (0 without it); ``availability`` the dependency's new
    availability.
    """

    kind: str
    cause: str
    scale: float
    availability: float | None
    result: float
    text: str


def one_nine_more(target: float) -> float:
    """The target with a tenth of the unavailability."""
    return 1 - (1 - target) / 10


def counterfactuals(model: WindowModel, past: KnownPast, breach_probability: float) -> list[Counterfactual]:
    """What one more nine needs, and one nine more or less of the heaviest causes; the incidents left out.

    One nine less is left out where it could not come true: an outage of all requests has no tenfold.
    """
    target = model.target(breach_probability)
    weights = dict(zip((cause.key for cause in model.causes), model.rates.mean(axis=1).tolist(), strict=True))
    heaviest = sorted(model.causes, key=lambda cause: (-weights[cause.key], cause.key))
    varied = [each for each in heaviest if each.kind in ("own", "dependency") and weights[each.key] > 0]
    scaled = [
        (cause, kind, scale)
        for cause in varied[:MAX_CAUSES]
        for kind, scale in NINES
        if scale <= 1 or cause.has_room
    ]

    def ask(changes: Sequence[Change]) -> ChangedPasts:
        return ChangedPasts.of(past, model, breach_probability, changes)

    asked = [each for at, each in enumerate(heaviest) if at < MAX_SEARCHED or each.kind == "incidents"]
    without = [Change(EVERYTHING, 0.0), *(Change(cause.key, 0.0) for cause in asked)]
    first = ask([*without, *(Change(cause.key, scale) for cause, _, scale in scaled)])
    found = [_needed_for(ask, model, one_nine_more(target), asked, first)]
    for row, (cause, kind, scale) in enumerate(scaled, start=len(without)):
        result = first.target_anew(row)
        if result == target or (result > target) is (scale < 1):
            found.append(_scaled(cause, kind, scale, result, past.service.service_id))
    for row, cause in enumerate(asked, start=1):
        if cause.kind == "incidents" and (result := first.target_anew(row)) >= target:
            text = f"Without its incidents {past.service.service_id} could promise {percent(result)}."
            found.append(Counterfactual("without_incidents", cause.key, 0.0, None, result, text))
    return found


def _scaled(cause: Cause, kind: str, scale: float, result: float, service_id: str) -> Counterfactual:
    availability = None
    if cause.availability is not None:
        availability = 1 - (1 - cause.availability) * scale
        subject = f"With {_name(cause)} at {percent(availability)}"
    else:
        amount = "a tenth of" if scale < 1 else "ten times"
        subject = f"With {amount} its own failures {service_id}"
    verb = " could promise " if cause.availability is None else ", the balanced target would be "
    return Counterfactual(kind, cause.key, scale, availability, result, f"{subject}{verb}{percent(result)}.")


type Ask = Callable[[Sequence[Change]], ChangedPasts]


def _needed_for(
    ask: Ask, model: WindowModel, goal: float, asked: Sequence[Cause], first: ChangedPasts
) -> Counterfactual:
    """The single cause whose improvement alone reaches ``goal``, else all together, else what stands in the
    way.

    The first rows of ``first`` are the pasts without any failure and without each cause that was ``asked``.
    """
    enough = [(row, cause) for row, cause in enumerate(asked, start=1) if first.targets[row] >= goal]
    for _, cause in enough:
        at = _largest_scale(ask, goal, cause, True)
        if at is not None:
            scale, result = at
            availability = None if cause.availability is None else 1 - (1 - cause.availability) * scale
            text = f"One more nine needs {_need(cause, scale, availability)}."
            return Counterfactual("one_more_nine", cause.key, scale, availability, result, text)
    for row, cause in enough:
        result = first.target_anew(row, goal)
        if result >= goal:
            text = f"One more nine needs {_none_of(cause)}: some of it would be too much."
            return Counterfactual("one_more_nine", cause.key, 0.0, _perfect(cause), result, text)
    at = _largest_scale(ask, goal, None, bool(first.targets[0] >= goal))
    if at is not None:
        scale, result = at
        text = (
            f"One more nine needs all failures, its own and its dependencies', cut to {_share(scale)} of "
            "today's: taking away one of them is not enough."
        )
        return Counterfactual("one_more_nine", EVERYTHING, scale, None, result, text)
    result = first.target_anew(0)
    return Counterfactual("one_more_nine", EVERYTHING, 0.0, None, result, _in_the_way(model, goal, result))


def _in_the_way(model: WindowModel, goal: float, result: float) -> str:
    """Why no improvement gives one more nine; ``result`` is the target without any failure."""
    if result >= goal:
        return f"One more nine ({percent(goal)}) needs a past without any failure: some would be too much."
    without = f"even without a failure the balanced target would be {percent(result)}."
    if model.prior_weight > 0:
        return f"One more nine ({percent(goal)}) needs a longer history: {without}"
    if needed_requests(goal) > model.window_requests:
        return (
            f"One more nine ({percent(goal)}) needs more traffic: even without a failure this traffic "
            f"supports {percent(result)}."
        )
    return f"One more nine ({percent(goal)}) needs a longer record: {without}"


def _largest_scale(
    ask: Ask, goal: float, cause: Cause | None, is_reached_without: bool
) -> tuple[float, float] | None:
    """The largest tried factor on a cause (on all for ``None``) that reaches ``goal``, as the next smaller one does
    if there are such two, with the target there; ``None`` where there is none.
    """
    key = EVERYTHING if cause is None else cause.key

    def asked_for(scales: Sequence[float]) -> list[_Tried]:
        """What careful figures near ``scales``, which descend, lead to."""
        careful = list(dict.fromkeys(_careful(cause, scale) for scale in scales))
        pasts = ask([Change(key, scale) for scale in careful])
        return [_Tried(scale, pasts, row) for row, scale in enumerate(careful)]

    tried = asked_for(COARSE)
    reached = [*(each.target >= goal for each in tried), is_reached_without]
    if not any(reached[:-1]):
        return None
    at = next((at for at, both in enumerate(pairwise(reached)) if all(both)), reached.index(True))
    step = math.log((tried[at - 1].scale if at else 1.0) / tried[at].scale) / (FINE + 1)
    finer = asked_for([tried[at].scale * math.exp(step * number) for number in range(FINE, 0, -1)])
    short = max((row for row, each in enumerate(finer) if each.target < goal), default=-1)
    for each in (*finer[short + 1 :], *tried[at:]):
        if each.target >= goal and (result := each.pasts.target_anew(each.row, goal)) >= goal:
            return each.scale, result
    return None


@dataclass(frozen=True, slots=True)
class _Tried:
    """A scale and where it was asked for."""

    scale: float
    pasts: ChangedPasts
    row: int

    @property
    def target(self) -> float:
        return float(self.pasts.targets[self.row])


def _careful(cause: Cause | None, scale: float) -> float:
    """A scale whose figure in words has two digits: of the dependency's unavailability, else of the scale itself."""
    if cause is None or cause.availability is None:
        return _round_down(scale)
    return _round_down((1 - cause.availability) * scale) / (1 - cause.availability)


def _round_down(value: float) -> float:
    """Keep two significant digits, towards 0."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = math.floor(value / step + 1e-9) * step
    return float(f"{rounded:.2g}")


def _need(cause: Cause, scale: float, availability: float | None) -> str:
    if availability is not None:
        return f"{_name(cause)} at {percent(availability)}"
    if cause.kind == "own":
        return f"own failures cut to {_share(scale)} of today's"
    return f"{cause.label[0].lower()}{cause.label[1:]} cut to {_share(scale)} of today's failures"


def _none_of(cause: Cause) -> str:
    if cause.kind == "dependency":
        return f"{_name(cause)} without a failure"
    if cause.kind == "own":
        return "no failures of its own"
    return (
        f"no {cause.label[0].lower()}{cause.label[1:]}"
        if cause.kind == "incidents"
        else f"{cause.label} without a failure"
    )


def _perfect(cause: Cause) -> float | None:
    return None if cause.availability is None else 1.0


def _share(scale: float) -> str:
    return f"{100 * scale:.2g} %"


def _name(cause: Cause) -> str:
    return cause.key.removeprefix("dependency:")
