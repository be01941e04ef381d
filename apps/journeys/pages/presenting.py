"""A journey as its pages show it: the answer in a sentence, figures, paths and links as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import QueryDict
from django.urls import reverse

from apps.accounts.models import User
from apps.journeys import queries
from apps.journeys.documents import LinkPart, ResultDocument, as_paths
from apps.journeys.formatting import path_name, shares
from apps.journeys.models import Journey, JourneyResult
from apps.journeys.pages import latency_page
from apps.journeys.what_if.steps import ChangeStep, query
from apps.slos.formatting import TIERS
from apps.ui.format import chance_words, count, ms, number, percent, percent_number, plural, points
from apps.ui.links import action_url
from apps.ui.lists import (
    ROWS_PER_PAGE,
    Filter,
    Listing,
    choices,
    listing_of,
    nothing_matches,
    page_of,
    pager_of,
    words_in,
)
from apps.ui.tables import Column, Table, sort_from

LINKS_SHOWN = 12
SOME_CHANCE, HIGH_CHANCE = 0.05, 0.20

COLUMNS = (
    Column("Journey", "name"),
    Column("Team", "team"),
    Column("Target", "target", numeric=True),
    Column("Succeeds", "availability", numeric=True, hint="The journey's availability now"),
    Column("Next month", numeric=True, hint="Nine windows in ten end in this range"),
    Column("Missed", "chance", hint="How often the journey will miss its target", descending_first=True),
    Column("95 % within", numeric=True, hint="End to end, p95 of the last 60 days"),
    Column("Weakest link"),
)


def standing(journey: Journey, result: JourneyResult | None) -> tuple[str, str]:
    """The state of a journey as a word and its level: fine up to one window in 20, act from one in five."""
    if result is None or result.availability is None:
        return (
            ("no number yet", "") if result is None or result.computed_at is None else ("no number", "warn")
        )
    if journey.target is None or result.chance_missed is None:
        return "no target", ""
    if result.chance_missed <= SOME_CHANCE:
        return "keeps its target", "ok"
    return (
        ("at risk", "warn") if result.chance_missed <= HIGH_CHANCE else ("likely to miss its target", "bad")
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the list."""

    journey: Journey
    result: JourneyResult | None
    word: str
    level: str
    interval: str
    missed: str
    within: str
    latency_target: str
    is_too_slow: bool


def listing(request_query: QueryDict) -> Listing[Line]:
    """The journeys that the address asks for."""
    sort = sort_from(request_query, COLUMNS, "name")
    page = page_of(request_query)
    text, team = words_in(request_query), request_query.get("team", "")
    rows = queries.journeys(text=text, team=team, service_id=request_query.get("service", ""))
    first = (page - 1) * ROWS_PER_PAGE
    found = [_line(one) for one in queries.ordered(rows, sort)[first : first + ROWS_PER_PAGE]]
    total = rows.count()
    filters = [
        Filter("q", "Name contains", text),
        Filter("team", "Team", team, choices("all teams", queries.teams_with_journeys())),
    ]
    table = Table(
        "journeys",
        "Journeys",
        COLUMNS,
        len(found),
        total,
        "journeys",
        sort,
        request_query,
        *(
            nothing_matches("journey", request_query, filters)
            or (
                "No journey here",
                "A journey is what a user wants to do over several services, such as checking out. Create one "
                "to see how often it succeeds and which service to improve first.",
            )
        ),
    )
    return listing_of(
        table, found, filters, sort, pager_of(request_query, page, len(found), total), request_query
    )


def _line(journey: Journey) -> Line:
    result = queries.result_of(journey)
    word, level = standing(journey, result)
    interval, missed = "—", "—"
    if result is not None and result.lower is not None and result.upper is not None:
        interval = f"{percent_number(result.lower)} to {percent(result.upper)}"
    document = queries.document_of(result)
    if result is not None and result.chance_missed is not None:
        missed = missed_words(document)
    return Line(
        journey,
        result,
        word,
        level,
        interval,
        missed,
        latency_page.short(document),
        "" if journey.latency_target_ms is None else ms(journey.latency_target_ms),
        latency_page.is_too_slow(document),
    )


@dataclass(frozen=True, slots=True)
class Stop:
    """One service on a path."""

    service_id: str
    calls: str
    is_gone: bool


@dataclass(frozen=True, slots=True)
class PathRow:
    name: str
    share: str
    availability: str
    stops: Sequence[Stop]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A service, and what one more nine there gains the journey."""

    service_id: str
    place: str
    availability: str
    share: str
    gain: str
    after: str


@dataclass(frozen=True, slots=True)
class Member:
    service_id: str
    team: str
    criticality: str
    url: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A journey's page."""

    journey: Journey
    result: JourneyResult | None
    word: str
    level: str
    answer: str
    interval: str
    chance: str
    precision: str
    naive: str
    as_of: datetime | None
    is_renewing: bool
    is_of_before: bool
    paths: Sequence[PathRow]
    links: Sequence[LinkRow]
    links_left: int
    weakest: str
    window: str
    tiers: Sequence[tuple[str, str, str]]
    members: Sequence[Member]
    notes: Sequence[str]
    times: latency_page.Times | None
    edit_url: str
    delete_url: str


def present(journey: Journey, user: User) -> Shown:
    """Turn a journey and what was computed of it into what its page shows."""
    result = queries.result_of(journey)
    document = queries.document_of(result)
    word, level = standing(journey, result)
    may_edit = user.has_perm("journeys.edit", journey)
    window = document["window_days"] if document else settings.WINDOW_DAYS
    links = document["links"] if document else []
    tiers = document["tiers"] if document else None
    back = {"next": reverse("journeys")}
    members = journey.members.select_related("team").order_by("service_id")
    is_of_before = (
        result is not None and result.computed_at is not None and result.journey_version != journey.version
    )
    return Shown(
        journey=journey,
        result=result,
        word=word,
        level=level,
        answer=_answer(journey, document),
        interval=_interval(document),
        chance=missed_words(document),
        precision=_precision(document),
        naive=percent(document["naive"] if document else None),
        as_of=result.as_of if result else None,
        is_renewing=result is None or result.is_being_made,
        is_of_before=is_of_before,
        paths=_paths(journey, None if is_of_before else document),
        links=_links(document) if document else [],
        links_left=max(0, sum(1 for link in links if link["gain"] > 0) - LINKS_SHOWN),
        weakest=_weakest(links),
        window=plural(window, "day"),
        tiers=[
            (name, percent(tier["target"]), chance_words(tier["breach_probability"], window))
            for name in TIERS
            if tiers and (tier := tiers.get(name))
        ],
        members=[
            Member(
                service.service_id,
                service.team.name if service.team else "—",
                service.criticality,
                reverse("service", args=[service.service_id]),
            )
            for service in members
        ],
        notes=_notes(document) if document else [],
        times=latency_page.times(document),
        edit_url=reverse("edit-journey", args=[journey.slug]) if may_edit else "",
        delete_url=action_url("journeys.delete", journey=journey.slug, version=journey.version, **back)
        if may_edit
        else "",
    )


def missed_words(document: ResultDocument | None) -> str:
    """How often the target is missed. If no drawn window misses it, the chance is bounded by their number."""
    if document is None or document["chance_missed"] is None:
        return "—"
    least = 0.5 / max(1, document["windows"])
    return chance_words(max(document["chance_missed"], least), document["window_days"])


def _answer(journey: Journey, document: ResultDocument | None) -> str:
    if document is None or document["availability"] is None or not document["interval"]:
        return ""
    availability, interval = document["availability"], document["interval"]
    lost = (1 - availability) * 10_000
    sentences = (
        f"{percent(availability)} of the journeys succeed: {number(lost, 1 if lost < 10 else 0)} in 10,000 do not. "
        f"Nine months in ten will lie between {percent_number(interval[0])} and {percent(interval[1])}."
    )
    if journey.target is not None and document["chance_missed"] is not None:
        sentences += f" The target of {percent(journey.target)} is missed {missed_words(document)}."
    return sentences


def _interval(document: ResultDocument | None) -> str:
    ends = document["interval"] if document else None
    return f"{percent_number(ends[0])} to {percent(ends[1])}" if ends else "—"


def _precision(document: ResultDocument | None) -> str:
    """How far sampling may be off, in words."""
    error = document["standard_error"] if document and document["samples"] else None
    if error is None:
        return ""
    if error < 1e-9:
        return "exact for these figures"
    return f"± {points(1.96 * error, 4).lstrip('+')} points from sampling"


def _paths(journey: Journey, document: ResultDocument | None) -> list[PathRow]:
    found = document["paths"] if document else []
    gone = set(document["gone"] if document else ())
    paths = as_paths(journey.paths)
    return [
        PathRow(
            name=path_name(path, at),
            share=percent(share, 0 if abs(share * 100 - round(share * 100)) < 0.05 else 1),
            availability=percent(found[at]["availability"]) if at < len(found) else "—",
            stops=[
                Stop(
                    step["service_id"],
                    "" if float(step["calls"]) == 1 else f"× {float(step['calls']):g}",
                    step["service_id"] in gone,
                )
                for step in path["steps"]
            ],
        )
        for at, (path, share) in enumerate(zip(paths, shares(paths), strict=True))
    ]


def _links(document: ResultDocument) -> list[LinkRow]:
    availability = document["availability"] or 0.0
    return [_link(link, availability) for link in document["links"][:LINKS_SHOWN] if link["gain"] > 0]


def _link(link: LinkPart, availability: float) -> LinkRow:
    return LinkRow(
        service_id=link["service_id"],
        place="on the journey" if link["is_member"] else "below it",
        availability=percent(link["own"]),
        share=percent(link["share"], 0) if link["share"] >= 0.005 else "under 1\u202f%",
        gain=points(link["gain"]),
        after=percent(min(1.0, availability + link["gain"])),
    )


def _weakest(links: Sequence[LinkPart]) -> str:
    if not links or links[0]["gain"] <= 0:
        return "Weakest link"
    first = links[0]
    return (
        f"Weakest link: {first['service_id']}, behind {percent(first['share'], 0)} of the journey's failures"
    )


def _notes(document: ResultDocument) -> list[str]:
    sentences = []
    gone, unknown, fixed = document["gone"], document["unknown"], document["fixed"]
    if gone:
        sentences.append(
            f"{_named(gone)} {'is' if len(gone) == 1 else 'are'} no longer in the catalog: the journey has no number "
            "until its paths are edited."
        )
    if unknown:
        sentences.append(
            f"There are no data on {_named(unknown)}: assumed never to fail, so the true figure is lower."
        )
    if fixed:
        sentences.append(
            f"There is no forecast for {_named(fixed)}: the figures assume the average failures in every window."
        )
    return sentences


def _named(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {plural(more, 'other')}" if more > 0 else "")


def try_url(service_id: str, steps: Sequence[ChangeStep]) -> str:
    """The address of a what-if."""
    address = reverse("what-if", args=[service_id])
    return f"{address}?{query(steps)}" if steps else address


__all__ = ["LINKS_SHOWN", "Shown", "count", "listing", "present", "standing", "try_url"]
