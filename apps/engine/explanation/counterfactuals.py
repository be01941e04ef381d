"""What would have to be different for another target, found by running the engine on changed pasts.

A cause is scaled as a whole: a dependency at 99.995 % instead of 99.98 % fails the service a quarter as often. The
changed past is forecast again, and its edges are estimated again where that may matter. So every sentence is true of a
whole new run on the input that ``apps.engine.explanation.what_if`` makes. Figures are rounded to the careful side
before they are evaluated.

The forecast moves in steps and not always in one direction. So "one more nine" names a scale that reaches it and, where
there is one, for which the next smaller scale that was tried reaches it too. A change that would move the target the
wrong way is left out, or reported as leading nowhere, since it says something of the forecast and not of the service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from apps.engine.counting import needed_requests
from apps.engine.decomposition import Cause
from apps.engine.document import CounterfactualKind
from apps.engine.explanation.pasts import Asked, Change
from apps.engine.explanation.what_if import EVERYTHING, KnownPast
from apps.engine.rounding import percent
from apps.engine.window.tiers import LEAST_TARGET, WindowModel

MAX_CAUSES = 2
"""The largest causes: these get "one nine more" and "one nine less"."""
MAX_SEARCHED = 3
"""The largest causes: each is searched for one more nine before all causes are scaled together."""
NINES: tuple[tuple[CounterfactualKind, float], ...] = (("one_nine_better", 0.1), ("one_nine_worse", 10.0))
LIKELY = 0.8
"""The largest cause is evaluated in the first pass if it makes at least this share of the failures: it may suffice
alone.
"""
COARSE = (0.15, 0.08, 0.04, 0.02)
"""Scales that are tried for one more nine …"""
SMALLER = (0.01, 0.003, 0.001)
"""… those that are tried where none of these is small enough …"""
FINE = 4
"""… and how many between one that is small enough and the next larger one."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """``kind`` names the question, ``change`` the cause that changes; ``result`` is the balanced target then.

    ``scale`` is the factor on the cause's failures (0 without it); ``availability`` the dependency's new availability.
    """

    kind: CounterfactualKind
    cause: str
    scale: float
    availability: float | None
    result: float
    text: str


def one_nine_more(target: float) -> float:
    """Return the target with a tenth of the unavailability."""
    return 1 - (1 - target) / 10


def counterfactuals(model: WindowModel, past: KnownPast, breach_probability: float) -> list[Counterfactual]:
    """Return what one more nine needs, one nine more and less for the largest causes, and a past without incidents.

    One nine less is left out for a cause that cannot get ten times worse, such as an outage of all requests.
    """
    service_id = past.service.service_id
    target = model.target(breach_probability)
    weights = dict(zip((cause.key for cause in model.causes), model.rates.mean(axis=1).tolist(), strict=True))
    heaviest = sorted(model.causes, key=lambda cause: (-weights[cause.key], cause.key))
    varied = [each for each in heaviest if each.kind in ("own", "dependency") and weights[each.key] > 0]
    scaled = [
        (cause, kind, Change(cause.key, scale))
        for cause in varied[:MAX_CAUSES]
        for kind, scale in NINES
        if scale <= 1 or cause.has_room
    ]
    incidents = [Change(cause.key, 0.0) for cause in heaviest if cause.kind == "incidents"]
    others = [*(change for _, _, change in scaled), *incidents]
    likely = heaviest[0] if weights[heaviest[0].key] >= LIKELY * sum(weights.values()) else None

    asked = Asked(past, model, breach_probability)
    asked.ask(
        [
            _without(None),
            *(_without(cause) for cause in heaviest[:MAX_SEARCHED]),
            *others,
            *(change for cause in (likely, None) for change in _changes(cause, COARSE)),
        ]
    )
    found = [_needed_for(asked, one_nine_more(target), heaviest)]
    results = dict(zip(others, asked.reestimated(others), strict=True))
    for cause, kind, change in scaled:
        result = results[change]
        # Leave out changes that move nothing, move the target the wrong way, or leave no target to keep.
        if percent(result) == percent(target) or result <= LEAST_TARGET:
            continue
        if (result > target) is (change.scale < 1):
            found.append(_scaled(cause, kind, change.scale, result, service_id))
    for change in incidents:
        if results[change] > target and percent(results[change]) != percent(target):
            text = f"Without its incidents, {service_id} could keep {percent(results[change])}."
            found.append(Counterfactual("without_incidents", change.cause, 0.0, None, results[change], text))
    return found


def _scaled(
    cause: Cause, kind: CounterfactualKind, scale: float, result: float, service_id: str
) -> Counterfactual:
    availability = None
    if cause.availability is not None:
        availability = 1 - (1 - cause.availability) * scale
        subject = f"With {_name(cause)} at {percent(availability)}"
    else:
        amount = "a tenth of" if scale < 1 else "ten times"
        subject = f"With {amount} its own failures, {service_id}"
    verb = " could keep " if cause.availability is None else ", the balanced target would be "
    return Counterfactual(kind, cause.key, scale, availability, result, f"{subject}{verb}{percent(result)}.")


def _needed_for(asked: Asked, goal: float, heaviest: Sequence[Cause]) -> Counterfactual:
    """Find one cause whose improvement reaches ``goal``, else a scale for all causes, else what stands in the way."""
    searched = heaviest[:MAX_SEARCHED]
    enough = [cause for cause in searched if asked.target(_without(cause)) >= goal]
    for cause in enough:
        at = _largest_scale(asked, goal, cause)
        if at is not None:
            scale, result = at
            availability = None if cause.availability is None else 1 - (1 - cause.availability) * scale
            text = f"One more nine needs {_need(cause, scale, availability)}."
            return Counterfactual("one_more_nine", cause.key, scale, availability, result, text)
    for cause in enough:
        (result,) = asked.reestimated([_without(cause)], goal)
        if result >= goal:
            availability = None if cause.availability is None else 1.0
            text = f"One more nine needs {_none_of(cause)}: even a few are too many."
            return Counterfactual("one_more_nine", cause.key, 0.0, availability, result, text)
    at = _largest_scale(asked, goal, None)
    if at is not None:
        scale, result = at
        has_dependency = any(cause.kind in ("dependency", "other_dependencies") for cause in heaviest)
        all_failures = (
            "all failures, its own and its dependencies'," if has_dependency else "all its failures"
        )
        text = f"One more nine needs {all_failures} cut to {_share(scale)} of today's"
        if len(heaviest) > 1:
            text += ": removing the largest cause alone is not enough"
        return Counterfactual("one_more_nine", EVERYTHING, scale, None, result, f"{text}.")
    (result,) = asked.reestimated([_without(None)])
    target = asked.model.target(asked.chance)
    if result < target:
        # Spotless services fail deeply, if at all: a forecast of that does not lead to the goal.
        text = f"One more nine ({percent(goal)}) needs a longer record: fewer failures in this one would not suffice."
        return Counterfactual("one_more_nine", EVERYTHING, 1.0, None, target, text)
    text = _in_the_way(asked.model, goal, result)
    return Counterfactual("one_more_nine", EVERYTHING, 0.0, None, result, text)


def _in_the_way(model: WindowModel, goal: float, result: float) -> str:
    """Say why no improvement gives one more nine; ``result`` is the target without any failure."""
    if result >= goal:
        return f"One more nine ({percent(goal)}) needs a past without any failure: even a few are too many."
    without = f"even without a failure the balanced target would be {percent(result)}."
    if model.prior_weight > 0:
        return f"One more nine ({percent(goal)}) needs a longer history: {without}"
    if needed_requests(goal) > model.window_requests:
        return (
            f"One more nine ({percent(goal)}) needs more traffic: even without a failure this traffic "
            f"supports {percent(result)}."
        )
    return f"One more nine ({percent(goal)}) needs a longer record: {without}"


def _largest_scale(asked: Asked, goal: float, cause: Cause | None) -> tuple[float, float] | None:
    """Return the largest tried factor that reaches ``goal``, with the target there; ``None`` where there is none.

    A factor for which the next smaller one reaches the goal too comes first. For the ``cause`` ``None``, all causes are
    scaled.
    """

    def reaches(change: Change) -> bool:
        return asked.target(change) >= goal

    tried = _changes(cause, COARSE)
    asked.ask(tried)
    if reaches(_without(cause)) and not any(map(reaches, tried)):
        tried += _changes(cause, SMALLER)
        asked.ask(tried)
    reached = [*map(reaches, tried), reaches(_without(cause))]
    if not any(reached[:-1]):
        return None
    at = next((at for at, both in enumerate(pairwise(reached)) if all(both)), reached.index(True))
    step = math.log((tried[at - 1].scale if at else 1.0) / tried[at].scale) / (FINE + 1)
    finer = _changes(cause, [tried[at].scale * math.exp(step * number) for number in range(FINE, 0, -1)])
    asked.ask(finer)
    while finer and not all(map(reaches, finer)):
        del finer[0]
    for change in (*finer, *tried[at:]):
        if reaches(change):
            (result,) = asked.reestimated([change], goal)
            if result >= goal:
                return change.scale, result
    return None


def _without(cause: Cause | None) -> Change:
    return Change(EVERYTHING if cause is None else cause.key, 0.0)


def _changes(cause: Cause | None, scales: Sequence[float]) -> list[Change]:
    """Return changes of a cause (of all for ``None``) near ``scales``, whose figures need two digits."""
    key = EVERYTHING if cause is None else cause.key
    return list(dict.fromkeys(Change(key, _careful(cause, scale)) for scale in scales))


def _careful(cause: Cause | None, scale: float) -> float:
    """Return a scale that can be worded with two digits: of the dependency's unavailability, else of the scale
    itself.
    """
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


def _share(scale: float) -> str:
    return f"{100 * scale:.2g} %"


def _name(cause: Cause) -> str:
    return cause.key.removeprefix("dependency:")
