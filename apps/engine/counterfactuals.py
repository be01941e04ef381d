"""What would have to be different for the target to be different, found by re-running the model.

A cause is scaled as a whole: a dependency at 99.995 % instead of 99.98 % fails us a quarter as often.
Figures are rounded to the careful side first and evaluated then, so that every sentence is true of the model
as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.counting import needed_requests
from apps.engine.decomposition import Cause
from apps.engine.rounding import percent
from apps.engine.tiers import WindowModel
from apps.engine.types import Floats

MAX_CAUSES = 2
"""Causes that get one nine more and one nine less: the heaviest."""
NINES = (("one_nine_better", 0.1), ("one_nine_worse", 10.0))


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


def counterfactuals(model: WindowModel, breach_probability: float, service_id: str) -> list[Counterfactual]:
    """What one more nine needs, and one nine more or less of the heaviest causes; the incidents left out.

    One nine less is left out where it could not come true: an outage of all requests has no tenfold.
    """
    causes = len(model.causes)
    target = model.target(breach_probability)
    weights = model.rates.mean(axis=1)
    heaviest = sorted(range(causes), key=lambda at: (-float(weights[at]), model.causes[at].key))
    varied = [at for at in heaviest if model.causes[at].kind in ("own", "dependency") and weights[at] > 0]
    scaled = [
        (at, kind, scale)
        for at in varied[:MAX_CAUSES]
        for kind, scale in NINES
        if scale <= 1 or model.causes[at].has_room
    ]
    scales = np.ones((causes + len(scaled), causes))
    scales[:causes] -= np.eye(causes)
    for row, (at, _, scale) in enumerate(scaled, start=causes):
        scales[row, at] = scale
    results = model.targets(breach_probability, scales)
    found = [_needed_for(model, breach_probability, one_nine_more(target), heaviest, results[:causes])]
    for (at, kind, scale), result in zip(scaled, results[causes:], strict=True):
        variation = _scaled(model.causes[at], kind, scale, float(result), service_id)
        if variation is not None:
            found.append(variation)
    for at, cause in enumerate(model.causes):
        if cause.kind == "incidents":
            without = float(results[at])
            text = f"Without its incidents {service_id} could promise {percent(without)}."
            found.append(Counterfactual("without_incidents", cause.key, 0.0, None, without, text))
    return found


def _targets(model: WindowModel, breach_probability: float, at: int | None, values: Floats) -> Floats:
    """The target with a cause (all for ``None``) scaled by each of ``values``."""
    scales = np.ones((values.size, len(model.causes)))
    scales[:, slice(None) if at is None else at] = values if at is not None else values[:, None]
    return model.targets(breach_probability, scales)


def _scaled(cause: Cause, kind: str, scale: float, result: float, service_id: str) -> Counterfactual | None:
    availability = None
    if cause.availability is not None:
        availability = 1 - (1 - cause.availability) * scale
        if availability < 0:
            return None
        subject = f"With {_name(cause)} at {percent(availability)}"
    else:
        amount = "a tenth of" if scale < 1 else "ten times"
        subject = f"With {amount} its own failures {service_id}"
    verb = " could promise " if cause.availability is None else ", the balanced target would be "
    return Counterfactual(kind, cause.key, scale, availability, result, f"{subject}{verb}{percent(result)}.")


def _needed_for(
    model: WindowModel, breach_probability: float, goal: float, heaviest: Sequence[int], without: Floats
) -> Counterfactual:
    """The single cause whose improvement alone reaches ``goal``, else all together, else what stands in the
    way.
    """
    for at in heaviest:
        cause = model.causes[at]
        if without[at] < goal:
            continue
        scale = _largest_scale(model, breach_probability, goal, at)
        if scale <= 0:
            continue
        availability = None
        if cause.availability is not None:
            missing = _round_down((1 - cause.availability) * scale)
            availability, scale = 1 - missing, missing / (1 - cause.availability)
            need = f"{_name(cause)} at {percent(availability)}"
        elif cause.kind == "own":
            need = f"own failures cut to {_share(scale)} of today's"
        else:
            need = f"{cause.label[0].lower()}{cause.label[1:]} cut to {_share(scale)} of today's failures"
        result = float(_targets(model, breach_probability, at, np.array([scale]))[0])
        return Counterfactual(
            "one_more_nine", cause.key, scale, availability, result, f"One more nine needs {need}."
        )
    scale = _largest_scale(model, breach_probability, goal, None)
    result = model.target(breach_probability, np.full(len(model.causes), scale))
    if scale > 0:
        text = (
            f"One more nine needs all failures, its own and its dependencies', cut to {_share(scale)} of "
            "today's: no single cause is enough."
        )
    elif model.prior_weight > 0:
        text = (
            f"One more nine ({percent(goal)}) needs a longer history: even without a failure the balanced "
            f"target would be {percent(result)}."
        )
    elif needed_requests(goal) > model.window_requests:
        text = (
            f"One more nine ({percent(goal)}) needs more traffic: even without a failure this traffic "
            f"supports {percent(result)}."
        )
    else:
        text = (
            f"One more nine ({percent(goal)}) needs a longer record without failure: with none in all this history "
            f"the balanced target would be {percent(result)}."
        )
    return Counterfactual("one_more_nine", "all", scale, None, result, text)


def _largest_scale(model: WindowModel, breach_probability: float, goal: float, at: int | None) -> float:
    """The largest factor on a cause (on all for ``None``) that reaches ``goal``, rounded down; 0 where none
    does.
    """
    low, step = -6.0, 0.75
    found = 0.0
    for _ in range(2):
        candidates: Floats = np.power(10.0, low + step * np.arange(8)).astype(np.float64)
        reached = np.flatnonzero(_targets(model, breach_probability, at, candidates) >= goal)
        if not reached.size:
            return 0.0
        found = float(candidates[reached[-1]])
        low, step = math.log10(found), step / 8
    # Rounded down it may fall short again: the forecast moves in small steps.
    rounded = np.array([_round_down(found * part) for part in (1.0, 0.9, 0.8, 0.6, 0.4)])
    reached = np.flatnonzero(_targets(model, breach_probability, at, rounded) >= goal)
    return float(rounded[reached[0]]) if reached.size else 0.0


def _round_down(value: float) -> float:
    """Keep two significant digits, towards 0."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = math.floor(value / step + 1e-9) * step
    return float(f"{rounded:.2g}")


def _share(scale: float) -> str:
    return f"{100 * scale:.2g} %"


def _name(cause: Cause) -> str:
    return cause.key.removeprefix("dependency:")
