"""How sure a recommendation is, for people who are no statisticians: what its kind kept, what the data are
worth, what a chance means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.urls import reverse
from django.utils.http import urlencode

from apps.engine.document import AvailabilityPart, DataQuality
from apps.slos.documents.data_findings import UNNAMED, first_day_named
from apps.slos.documents.types import ServiceDocument
from apps.slos.evaluation.calibration import TIERS, Calibration, Group, calibration
from apps.telemetry.findings import KINDS as FINDINGS
from apps.ui.format import count, duration, percent, plural, window_noun

KINDS: Mapping[str, str] = {
    "new": "with 7 to 29 days of history",
    "clean": "that had hardly failed",
    "rare_incidents": "with rare incidents",
    "drifting": "whose level had changed",
    "load_dependent": "that fail more under load",
    "bursty": "whose failures come in bursts",
    "steady": "that fail at a steady rate",
    "up_or_down": "watched by probes",
}
"""What the engine calls a regime, as words after "services", or after "sites" where those are real."""

HOLDS_BACK: Mapping[str, str] = {
    "history": "a short history",
    "coverage": "hours without data",
    "plausibility": "figures that cannot be true",
    "freshness": "old data",
    "traffic": "little traffic",
    "precision": "wide intervals",
    "evidence": "doubts about what was counted",
}
"""The factors of the confidence, as what is at fault where one is low."""

GOOD, FAIR = 0.75, 0.5

FIRST_WEEK_DAYS = 7
"""Until here a forecast is bounded by what was counted and mixed with a prior (the engine's FIRST_WEEK_DAYS), and the
evaluation has services of its own.
"""
YOUNG_KIND = "with 1 to 6 days of history"


@dataclass(frozen=True, slots=True)
class Kept:
    """One tier: the chance that is stated and the share that was counted, as text."""

    tier: str
    stated: str
    missed: str


@dataclass(frozen=True, slots=True)
class Reliability:
    """How services or sites of the same kind kept their tiers where the future was known."""

    sentence: str
    rows: Sequence[Kept]
    source: str


@dataclass(frozen=True, slots=True)
class DataLine:
    """One sentence about the data; ``url`` shows the time that it speaks of, where it speaks of one."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A chance explained with the service's own numbers."""

    question: str
    answers: Sequence[str]


def reliability(part: AvailabilityPart | None, days: float | None = None) -> Reliability | None:
    """Return how recommendations of this kind of history held; ``None`` where the kind is not known.

    Of sites with fewer ``days`` of data than any that were evaluated it says just that, and has no rows.
    """
    tiers = part["tiers"] if part else None
    regime = part.get("regime") if part else None
    shipped = calibration()
    group = shipped.regimes.get(regime or "")
    if group is None or not tiers:
        return None
    kind = KINDS.get(regime or "", "of its kind")
    if days is not None and days < FIRST_WEEK_DAYS:
        if group.is_real:
            return Reliability(
                sentence=f"How often sites {kind} with under {FIRST_WEEK_DAYS} days of history miss their targets was "
                "not evaluated.",
                rows=(),
                source=f"Shown were {shipped.real['shown']}.",
            )
        group, kind = shipped.young, YOUNG_KIND
    stated = {tier: percent(tiers[tier]["breach_probability"], 0) for tier in TIERS}
    missed = {tier: percent(group.missed[tier], 1) for tier in TIERS}
    sentence_for = _of_real if group.is_real else _of_simulated
    sentence, source = sentence_for(shipped, group, kind, missed["balanced"], stated["balanced"])
    return Reliability(
        sentence=sentence,
        rows=[Kept(tier.capitalize(), stated[tier], missed[tier]) for tier in TIERS],
        source=source,
    )


def _of_simulated(shipped: Calibration, group: Group, kind: str, missed: str, stated: str) -> tuple[str, str]:
    about = shipped.about
    return (
        f"Of {count(group.cases)} simulated services {kind}, {missed} missed a balanced target; "
        f"stated: {stated}.",
        f"From the evaluation: {about['services']}, with seed {about['seed']}. Shown: {about['shown']}.",
    )


def _of_real(shipped: Calibration, group: Group, kind: str, missed: str, stated: str) -> tuple[str, str]:
    about = shipped.real
    return (
        f"Real sites {kind} missed a balanced target in {missed} of {count(group.cases)} windows; "
        f"stated: {stated}.",
        f"Real histories, none simulated: {count(int(about['sites']))} sites on {about['pages']} public status "
        f"pages. Shown: {about['shown']}. Judged: {about['judged']}.",
    )


def meaning(document: ServiceDocument | None, part: AvailabilityPart | None) -> Meaning | None:
    """Explain the balanced tier's chance; ``None`` where there is no such tier."""
    tiers = part["tiers"] if part else None
    if document is None or not tiers:
        return None
    service_id, days = document["service_id"], document["window_days"]
    balanced = tiers["balanced"]
    target, chance = balanced["target"], balanced["breach_probability"]
    of = round(1 / chance)
    allowed = (1 - target) * days * 86_400
    quality = document["data_quality"]
    expected = quality["expected_requests"] if quality else None
    cost = f"{percent(target)} over {days} days leaves room for {duration(allowed)} of full outage"
    if expected and expected * (1 - target) >= 1:
        cost += f", or for {count(expected * (1 - target))} failures among {count(expected)} requests"
    one, _ = window_noun(days)
    others = (
        f"Conservative and aggressive are the same bet at other odds: {percent(tiers['conservative']['target'])} "
        f"is missed about once in {round(1 / tiers['conservative']['breach_probability'])}, "
        f"{percent(tiers['aggressive']['target'])} once in {round(1 / tiers['aggressive']['breach_probability'])}."
    )
    return Meaning(
        question=f"What does {percent(chance, 0)} mean here?",
        answers=[
            f"In {of} windows like the next {days} days we expect about one in which {service_id} ends below "
            f"{percent(target)}, and {of - 1} in which it keeps that or does better. Nobody can say which "
            f"{one} it will be.",
            f"{cost}. Ending below means more than that; how much more, the {percent(chance, 0)} does not say.",
            others,
            "It is a forecast: from what was seen here and what such services do. What neither has ever shown "
            "is not in it.",
        ],
    )


def data_words(quality: DataQuality | None) -> str:
    """How much data there is, in a few words: ``90 d, 99.6 % of hours``."""
    if quality is None or quality["days"] is None or quality["coverage"] is None:
        return ""
    noun = "hours" if quality["step_seconds"] in (None, 3600) else "bins"
    return f"{quality['days']:.0f} d, {percent(quality['coverage'])} of {noun}"


def quality_words(quality: DataQuality | None) -> list[str]:
    """What is known of the data, in sentences."""
    if quality is None:
        return []
    lines = []
    noun = "hour" if quality["step_seconds"] in (None, 3600) else "bin"
    if quality["total_requests"] is not None:
        lines.append(
            f"{count(quality['total_requests'])} requests in {plural(round(quality['days'] or 0), 'day')}."
        )
    if quality["gaps"]:
        missing = quality["missing_seconds"]
        length = f", {duration(missing)} in all" if missing else ""
        lines.append(f"{plural(quality['gaps'], 'gap')} without data{length}, left out.")
    elif quality["gaps"] == 0:
        lines.append(f"No {noun} is missing.")
    # Of hours that a finding names, its sentence says why they were left out.
    named = sum(bins for why, bins in (quality.get("left_out") or {}).items() if why != UNNAMED)
    unnamed = quality["implausible_bins"] - named
    if unnamed > 0:
        lines.append(f"{plural(unnamed, noun)} could not be true and {_verb(unnamed)} left out.")
    if quality["partial_bins"]:
        lines.append(f"{plural(quality['partial_bins'], noun)} came from incomplete answers.")
    return lines + quality["warnings"]


def data_lines(service_id: str, quality: DataQuality | None) -> list[DataLine]:
    """The same, each sentence about a finding with the address that shows its time."""
    return [
        DataLine(text, _address(service_id, first) if (first := first_day_named(text)) else "")
        for text in quality_words(quality)
    ]


def doubts(service_id: str, quality: DataQuality | None) -> DataLine | None:
    """What is in doubt about the counts behind the tiers, with the address that says why; ``None`` where nothing is."""
    if quality is None:
        return None
    names = [FINDINGS[name].title for name in quality.get("doubts") or {} if name in FINDINGS]
    if not names:
        return None
    worth = (quality.get("confidence_parts") or {}).get("evidence")
    cost = f"; the confidence is {percent(worth, 0)} of what it would be" if worth is not None else ""
    return DataLine(
        f"In doubt: {'; '.join(names)}. These tiers stand on what was counted{cost}.",
        f"{reverse('telemetry')}?{urlencode({'service': service_id})}",
    )


def _address(service_id: str, first: date) -> str:
    return f"{reverse('telemetry')}?{urlencode({'service': service_id, 'from': f'{first}T00:00:00Z'})}"


def _verb(amount: int) -> str:
    return "was" if amount == 1 else "were"


def confidence_words(confidence: float | None, verdict: str, quality: DataQuality | None) -> str:
    """What a confidence means, in a sentence that agrees with what is said of the data."""
    if confidence is None:
        return ""
    if verdict not in ("ok", "cold_start"):
        if verdict == "nothing_kept":
            return "What was counted leaves no target to keep."
        return "Too little is known for a number."
    if quality is None or quality["days"] is None:
        return "Low: nobody observed it yet, the numbers stand on what it publishes."
    if verdict == "cold_start":
        return "Low: there is little history, and the tiers allow for what so few days cannot show."
    parts = {
        name: value for name, value in (quality.get("confidence_parts") or {}).items() if name in HOLDS_BACK
    }
    worst = min(parts, key=lambda name: parts[name], default="")
    because = f", held back most by {HOLDS_BACK[worst]}" if worst and parts[worst] < GOOD else ""
    if confidence >= GOOD:
        return "Good: the history is long and recent, and there is enough traffic."
    if confidence >= FAIR:
        return f"Fair{because}: read each tier together with its interval."
    return f"Low{because}: look at the intervals before you accept the upper end."
