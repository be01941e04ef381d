"""Turns proposals into a form, and the form back into the families that a person chose and changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apps.core.errors import FieldProblem, InvalidInput
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector
from apps.telemetry.proposals import sentences
from apps.telemetry.proposals.documents import Proposal, Survey, Twice

_MATCHER = re.compile(r"[^\W\d][\w./-]*(=~|!~|!=|=).*", re.DOTALL)
ALL = ""
"""The option to read every environment together."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice between places, such as environments, in which services exist several times."""

    field: str
    label: str
    options: tuple[tuple[str, str], ...]
    chosen: str
    services: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A proposal as a form shows it. The names of its fields contain the proposal's number."""

    number: int
    name: str
    metric: str
    kind: str
    is_preset: bool
    is_ticked: bool
    is_recommended: bool
    summary: str
    names: tuple[str, ...]
    doubts: tuple[str, ...]
    overlaps: tuple[str, ...]
    service_label: str
    where: str
    failures: str
    unit: str
    has_histogram: bool
    choices: tuple[Choice, ...]
    errors: tuple[str, ...] = ()

    @property
    def is_edited_first(self) -> bool:
        """Whether the form shows its details open, because something is wrong or unknown."""
        return bool(self.errors) or (not self.is_preset and not self.failures and self.kind == "counters")


def cards(
    survey: Survey,
    posted: Mapping[str, str] | None = None,
    stored: Mapping[str, MetricFamily] | None = None,
    errors: Mapping[int, Sequence[str]] | None = None,
) -> list[Card]:
    """Return every proposal as it was proposed or, after a form was sent, as it was filled in.

    Parameters:
        stored: families that are stored already; their proposals are ticked.
        errors: problems, by the number of the proposal.
    """
    kept = stored or {}
    return [
        _card(number, proposal, posted, proposal.name in kept, tuple((errors or {}).get(number, ())))
        for number, proposal in enumerate(survey.proposals)
    ]


def _card(
    number: int,
    proposal: Proposal,
    posted: Mapping[str, str] | None,
    is_stored: bool,
    errors: tuple[str, ...],
) -> Card:
    family = proposal.family

    def given(field: str, otherwise: str) -> str:
        return otherwise if posted is None else str(posted.get(f"{field}-{number}", otherwise))

    proposed = is_stored or (proposal.is_recommended and not proposal.preset)
    return Card(
        number=number,
        name=proposal.name,
        metric=family.counted.metric,
        kind=family.kind,
        is_preset=proposal.preset,
        is_ticked=proposed if posted is None else f"take-{number}" in posted,
        is_recommended=proposal.is_recommended,
        summary=sentences.summary(proposal),
        names=tuple(proposal.evidence.names),
        doubts=tuple(proposal.doubts),
        overlaps=tuple(proposal.overlaps),
        service_label=given("label", family.service_label),
        where=given("where", "\n".join(family.where)),
        failures=given("failures", failures_as_text(family)),
        unit=given("unit", family.buckets[0].unit if family.buckets else "s"),
        has_histogram=len(family.buckets) == 1 and not proposal.preset,
        choices=tuple(
            _choice(number, index, one, posted) for index, one in enumerate(proposal.evidence.twice)
        ),
        errors=errors,
    )


def _choice(number: int, index: int, one: Twice, posted: Mapping[str, str] | None) -> Choice:
    field = f"place-{number}-{index}"
    together = "all, added up" if not one.is_replica else "all of them"
    options = ((ALL, together), *((value, f"only {value}") for value in one.values))
    production = next((value for value in one.values if value.lower().startswith("prod")), ALL)
    proposed = ALL if one.is_replica else production
    return Choice(
        field,
        one.label,
        options,
        proposed if posted is None else str(posted.get(field, ALL)),
        one.services,
        tuple(one.names),
    )


def chosen(survey: Survey, posted: Mapping[str, str]) -> list[tuple[str, MetricFamily]]:
    """Return the families that a form asks to store: ticked ones, and built-in ones that it narrows.

    Raises:
        InvalidInput: some input cannot be used; each problem's path is the proposal's number.
    """
    found: list[tuple[str, MetricFamily]] = []
    problems: list[FieldProblem] = []
    for number, proposal in enumerate(survey.proposals):
        narrowing = _narrowing(number, proposal, posted)
        if not (narrowing if proposal.preset else f"take-{number}" in posted):
            continue
        try:
            found.append((proposal.name, _edited(number, proposal, posted, narrowing)))
        except ValueError as error:
            problems += [FieldProblem(str(number), text) for text in _texts(error)]
    if problems:
        raise InvalidInput("Some of the input is not valid.", fields=problems)
    return found


def _narrowing(number: int, proposal: Proposal, posted: Mapping[str, str]) -> list[str]:
    found = []
    for index, one in enumerate(proposal.evidence.twice):
        value = str(posted.get(f"place-{number}-{index}", ALL))
        if value in one.values:
            found.append(one.only(value))
    return found


def _edited(
    number: int, proposal: Proposal, posted: Mapping[str, str], narrowing: Sequence[str]
) -> MetricFamily:
    family = proposal.family
    given = family.model_dump(mode="json", exclude_defaults=True)
    if not proposal.preset:
        given["service_label"] = str(posted.get(f"label-{number}", family.service_label)).strip()
        given["where"] = _lines(posted.get(f"where-{number}", "\n".join(family.where)))
        if family.kind in {"counters", "rates"}:
            text = posted.get(f"failures-{number}", failures_as_text(family))
            given["bad"] = [
                one.model_dump(mode="json", exclude_defaults=True) for one in _failures(family, text)
            ]
        unit: Literal["ms", "s"] = "ms" if posted.get(f"unit-{number}") == "ms" else "s"
        if len(family.buckets) == 1 and f"unit-{number}" in posted:
            given["buckets"] = [{**one, "unit": unit} for one in given["buckets"]]
    given["where"] = [
        *given.get("where", ()),
        *(one for one in narrowing if one not in given.get("where", ())),
    ]
    return MetricFamily.model_validate(given)


def failures_as_text(family: MetricFamily) -> str:
    """Return what counts failures, one on each line: a matcher for the requests' metric, or another metric."""
    counted = family.counted
    return "\n".join(
        ", ".join(one.where) if one.metric == counted.metric else one.metric for one in family.bad
    )


def _failures(family: MetricFamily, text: str) -> list[Selector]:
    found = []
    for line in _lines(text):
        parts = [part.strip() for part in re.split(r",\s+", line)]
        if all(_MATCHER.fullmatch(part) for part in parts):
            found.append(family.counted.model_copy(update={"where": tuple(parts)}))
        else:
            found.append(Selector(metric=line))
    narrowed = set(family.where)
    return [
        one.model_copy(update={"where": tuple(w for w in one.where if w not in narrowed)}) for one in found
    ]


def _lines(text: object) -> list[str]:
    return [line.strip() for line in str(text).splitlines() if line.strip()]


def _texts(error: ValueError) -> list[str]:
    errors = getattr(error, "errors", None)
    if errors is None:
        return [str(error)]
    return [str(one["msg"]).removeprefix("Value error, ") for one in errors()]
