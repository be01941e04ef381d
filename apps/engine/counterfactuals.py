"""What would have to be different for the target to be different, found by re-running the model.

A cause is scaled as a whole: a dependency at 99.995 % instead of 99.98 % fails us a quarter as often.
Figures are rounded to the careful side first and evaluated then, so that every sentence is true of the model
as it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.engine.decomposition import WORSE, Cause
from apps.engine.rounding import percent
from apps.engine.tiers import WindowModel

MAX_CAUSES = 2
"""Causes that get one nine more and one nine less: the heaviest."""
_BISECTIONS = 14


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
    target = model.target(breach_probability)
    found = [_needed_for(model, breach_probability, one_nine_more(target))]
    weights = model.rates.mean(axis=1)
    heaviest = sorted(range(len(model.causes)), key=lambda at: (-float(weights[at]), model.causes[at].key))
    varied = [at for at in heaviest if model.causes[at].kind in ("own", "dependency") and weights[at] > 0]
    for at in varied[:MAX_CAUSES]:
        for kind, scale in (("one_nine_better", 1 / WORSE), ("one_nine_worse", WORSE)):
            if scale > 1 and not model.causes[at].has_room:
                continue
            variation = _scaled(model, breach_probability, at, kind, scale, service_id)
            if variation is not None:
                found.append(variation)
    for at, cause in enumerate(model.causes):
        if cause.kind == "incidents":
            result = _target(model, breach_probability, at, 0.0)
            text = f"Without its incidents {service_id} could promise {percent(result)}."
            found.append(Counterfactual("without_incidents", cause.key, 0.0, None, result, text))
    return found


def _target(model: WindowModel, breach_probability: float, at: int, scale: float) -> float:
    scales = np.ones(len(model.causes))
    scales[at] = scale
    return model.target(breach_probability, scales)


def _scaled(
    model: WindowModel, breach_probability: float, at: int, kind: str, scale: float, service_id: str
) -> Counterfactual | None:
    cause = model.causes[at]
    availability = None
    if cause.availability is not None:
        availability = 1 - (1 - cause.availability) * scale
        if availability < 0:
            return None
        subject = f"With {_name(cause)} at {percent(availability)}"
    else:
        amount = "a tenth of" if scale < 1 else "ten times"
        subject = f"With {amount} its own failures {service_id}"
    result = _target(model, breach_probability, at, scale)
    verb = " could promise " if cause.availability is None else ", the balanced target would be "
    return Counterfactual(kind, cause.key, scale, availability, result, f"{subject}{verb}{percent(result)}.")


def _needed_for(model: WindowModel, breach_probability: float, goal: float) -> Counterfactual:
    """The single cause whose improvement alone reaches ``goal``, else all together, else what stands in the
    way.
    """
    weights = model.rates.mean(axis=1)
    for at in sorted(range(len(model.causes)), key=lambda at: (-float(weights[at]), model.causes[at].key)):
        cause = model.causes[at]
        if weights[at] <= 0 or _target(model, breach_probability, at, 0.0) < goal:
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
        result = _target(model, breach_probability, at, scale)
        return Counterfactual(
            "one_more_nine", cause.key, scale, availability, result, f"One more nine needs {need}."
        )
    scale = _largest_scale(model, breach_probability, goal, None)
    scales = np.full(len(model.causes), scale)
    result = model.target(breach_probability, scales)
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
    else:
        text = (
            f"One more nine ({percent(goal)}) needs more traffic: even without a failure this traffic "
            f"supports {percent(result)}."
        )
    return Counterfactual("one_more_nine", "all", scale, None, result, text)


def _largest_scale(model: WindowModel, breach_probability: float, goal: float, at: int | None) -> float:
    """The largest factor on a cause (on all for ``None``) that reaches ``goal``, rounded down; 0 where none
    does.
    """

    def reaches(scale: float) -> bool:
        scales = np.full(len(model.causes), scale) if at is None else np.ones(len(model.causes))
        if at is not None:
            scales[at] = scale
        return model.target(breach_probability, scales) >= goal

    low, high = -6.0, 0.0
    if not reaches(10**low):
        return 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(10**middle) else (low, middle)
    return _round_down(10**low)


def _round_down(value: float) -> float:
    """Keep two significant digits, towards 0."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = math.floor(value / step + 1e-9) * step
    return float(f"{rounded:.2g}")


def _share(scale: float) -> str:
    return f"{100 * scale:.2g} %"


def _name(cause: Cause) -> str:
    return cause.key.removeprefix("dependency:")
