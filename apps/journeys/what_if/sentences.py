"""Sentences about what-if steps: what each one means, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.engine.journeys.steps import ChangeStep, Level
from apps.journeys.documents import LevelPart
from apps.ui.format import chance_words, ms, number, percent, plural

LARGE_LOAD = 2.0


def step_sentences(
    service_id: str, step: ChangeStep, *, before: Level, after: Level, whole: Mapping[str, float]
) -> list[str]:
    """Return sentences on one step: what it means for users and operators, what is assumed, what to watch."""
    name = step.target_id
    sentences: list[str] = []
    match step.kind:
        case "fallback":
            sentences.append(
                f"While {name} fails, {percent(step.value)} of the calls get the fallback's answer instead: older, "
                "smaller or a default. You must decide whether users accept it; here it counts as good."
            )
        case "queue":
            sentences.append(
                f"{service_id} no longer waits for {name}: it accepts the request, and {name} does the work later. An "
                f"outage of {name} delays work but fails no request. The SLO is then the age of the queue."
            )
            sentences.append(f"The queue's own availability counts as {percent(step.value)}.")
        case "replica":
            sentences.append(
                f"One of {plural(int(step.value) + 1, 'instance')} of {name} is enough. This assumes that a tenth of "
                "its own failures hits all instances at once (a bad deploy, a shared network). Its dependencies fail "
                "as before."
            )
        case "retry":
            sentences.append(
                f"A failed call of {name} is tried {plural(int(step.value), 'more time')}. This assumes that "
                "half of its failures are still there at the next try. Retry only calls that are safe to repeat."
            )
            sentences += _load(name, after)
        case "timeout":
            sentences += _timeout(service_id, step, before, after)
        case _:
            sentences.append(
                f"This assumes that {name} keeps {percent(step.value)} as a whole, with all its dependencies."
            )
            now = 1 - whole.get(name, 0.0)
            if step.value < now:
                sentences.append(f"That is less than the {percent(now)} that it has today.")
    if after.unavailability > before.unavailability * (1 + 1e-9) and step.kind in (
        "queue",
        "replica",
        "fallback",
    ):
        sentences.append("Here this step makes the service worse, not better.")
    return sentences


def _load(name: str, after: Level) -> list[str]:
    load = next((each for each in after.loads if each.target_id == name), None)
    if load is None:
        return []
    usual, in_outage = number(load.usual, 3), number(load.in_outage, 1)
    often = "as many calls as now" if usual == "1" else f"{usual} calls for each one now"
    text = f"{name} usually gets {often}, and for each of them {in_outage} while it is down"
    if load.in_outage >= LARGE_LOAD:
        return [
            f"{text}: enough to keep it down. Back off with jitter and bound retries to a tenth of the calls."
        ]
    return [f"{text}."]


def _timeout(service_id: str, step: ChangeStep, before: Level, after: Level) -> list[str]:
    wait = (
        f"{service_id} waits at most {ms(step.value)} for {step.target_id}, then the call counts as failed."
    )
    if after.unavailability > before.unavailability * (1 + 1e-9):
        lost = (after.unavailability - before.unavailability) * 1e6
        more = (
            f"Slow answers of {step.target_id} that are good today would fail {number(lost, 0)} more requests in a "
            "million."
        )
    else:
        more = f"Hardly any answer of {step.target_id} is slower, so no good request of today fails."
    return [
        f"{wait} {more}",
        "A timeout also keeps callers from piling up behind a hanging call; counts do not show that gain.",
    ]


def sentence(
    service_id: str,
    before: LevelPart,
    after: LevelPart,
    kinds: Sequence[str],
    window_days: int,
) -> str:
    """Return one sentence on what the steps add up to."""
    old, new = _balanced(before), _balanced(after)
    if not kinds:
        if old is None:
            return f"{service_id} has no number to start from."
        return f"Today {service_id} can keep {percent(old)}, missed {chance_words(0.05, window_days)}."
    steps = plural(len(kinds), "this step", "these steps").split(" ", 1)[1]
    with_steps = f"With {steps}"
    if old is None or new is None:
        one, other = before["composite"], after["composite"]
        if one is None or other is None:
            return f"{service_id} has no number to start from, so none can be given for these steps."
        return (
            f"{with_steps}, the composite availability of {service_id} and its dependencies changes from "
            f"{percent(one)} to {percent(other)}."
        )
    if abs(new - old) < 5e-8:
        return f"{with_steps}, {service_id} could keep the same target as now: {percent(old)}."
    factor = (1 - new) / (1 - old) if old < 1 else 1.0
    fewer = (
        f"{number((1 - factor) * 100, 0)} % fewer"
        if factor < 1
        else f"{number((factor - 1) * 100, 0)} % more"
    )
    return (
        f"{with_steps}, {service_id} could keep {percent(new)} instead of {percent(old)}, with the same chance of a "
        f"miss ({chance_words(0.05, window_days)}): {fewer} failures."
    )


def _balanced(level: LevelPart) -> float | None:
    return level["tiers"]["balanced"]["target"] if level["tiers"] else None
