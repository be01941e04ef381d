"""Computing journeys: load the graph below, ask the engine, store. Only workers and commands import this module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.catalog.models import Service
from apps.core import instants
from apps.engine.journeys.availability import JourneyFleet, JourneyResult, Path, Step, evaluate
from apps.engine.rounding import ratio
from apps.engine.types import TIER_BREACH_PROBABILITY
from apps.journeys import models
from apps.journeys.documents import Achieved, PathPart, ResultDocument, WhatWasAsked, as_paths
from apps.journeys.formatting import path_name
from apps.journeys.making import graph as graphs
from apps.journeys.making import latency
from apps.journeys.models import Journey

logger = structlog.get_logger(__name__)

type Progress = Callable[[int, int], None]

LINKS_KEPT = 50


def refresh(
    journeys: Sequence[str] | None,
    *,
    reason: str,
    asked: datetime | None = None,
    is_forced: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> int:
    """Compute the journeys that need a new result, of these or of all. Return how many were computed.

    ``asked`` is the time of the request: a worker may start before the note of it is committed, and would find nothing
    to do otherwise. ``is_forced`` computes the others, too. Safe to repeat: results that are newer than the request are
    left alone. ``progress`` is called with the number of journeys looked at and their total, and may stop the work by
    raising.
    """
    rows = Journey.objects.select_related("result").order_by("name")
    if journeys is not None:
        rows = rows.filter(pk__in=journeys)
    made = 0
    for number, journey in enumerate(rows, 1):
        result = getattr(journey, "result", None)
        if is_forced or result is None or result.is_older_than(asked):
            made += compute_one(journey)
        progress(number, len(rows))
    if made:
        logger.info("journeys.computed", journeys=made, reason=reason)
    return made


def compute_one(journey: Journey) -> bool:
    """Compute one journey and store the result.

    Return ``False`` where it was changed or deleted meanwhile, or has a result that was computed from later data.
    """
    started = instants.now()
    document, as_of = evaluated(journey)
    with transaction.atomic():
        current = Journey.objects.select_for_update().filter(pk=journey.pk).values_list("version", flat=True)
        if list(current) != [journey.version]:
            return False
        # An instant ahead of the clock is from before the clock was set back, and says nothing.
        later = Q(computed_from__gt=started, computed_from__lte=instants.now())
        if models.JourneyResult.objects.filter(later, journey=journey).exists():
            return False
        links = document["links"]
        values = {
            "computed_from": started,
            "computed_at": instants.now(),
            "as_of": as_of,
            "journey_version": journey.version,
            "availability": document["availability"],
            "lower": document["interval"][0] if document["interval"] else None,
            "upper": document["interval"][1] if document["interval"] else None,
            "chance_missed": document["chance_missed"],
            "weakest": links[0]["service_id"] if links else "",
            "document": document,
        }
        models.JourneyResult.objects.update_or_create(
            journey=journey, defaults=values, create_defaults={**values, "requested_at": started}
        )
    return True


def evaluated(journey: Journey) -> tuple[ResultDocument, datetime | None]:
    """Return a journey's result as a document, and the oldest instant of the data behind it."""
    paths, gone = _paths(as_paths(journey.paths))
    asked: WhatWasAsked = {
        "window_days": settings.WINDOW_DAYS,
        "seed": 0,
        "target": journey.target,
        "gone": gone,
        "latency": None,
    }
    if not paths or gone:
        return {**asked, **_nothing()}, None
    members = dict(
        Service.objects.filter(
            service_id__in={step.service_id for path in paths for step in path.steps}
        ).values_list("service_id", "pk")
    )
    below = graphs.load(list(members.values()))
    asked["latency"] = latency.evaluated(
        paths,
        members,
        below.graph.edges,
        until=latency.end_of_data(members.values()),
        target_ms=journey.latency_target_ms,
    )
    if set(members) <= set(below.unknown):
        return {**asked, **_nothing(), "unknown": sorted(members)}, below.as_of
    fleet = JourneyFleet(below.graph, below.whole, below.predicted)
    found = evaluate(paths, fleet, target=journey.target)
    return {**asked, **_document(found, below)}, below.as_of


def _paths(given: Iterable[PathPart]) -> tuple[list[Path], list[str]]:
    """Return the engine's paths, and the services on them that the catalog no longer has."""
    paths = [
        Path(
            path_name(path, at),
            float(path["weight"]),
            tuple(Step(step["service_id"], float(step["calls"])) for step in path["steps"]),
        )
        for at, path in enumerate(given)
    ]
    names = {step.service_id for path in paths for step in path.steps}
    known = set(Service.objects.filter(service_id__in=names).values_list("service_id", flat=True))
    return paths, sorted(names - known)


def _nothing() -> Achieved:
    return {
        "availability": None,
        "standard_error": None,
        "interval": None,
        "tiers": None,
        "chance_missed": None,
        "chance_error": None,
        "naive": None,
        "paths": [],
        "links": [],
        "unknown": [],
        "fixed": [],
        "samples": 0,
        "windows": 0,
        "services": 0,
    }


def _document(found: JourneyResult, below: graphs.GraphBelow) -> Achieved:
    return {
        "availability": ratio(found.availability),
        "standard_error": found.standard_error,
        "interval": [ratio(end) for end in found.interval],
        "tiers": {
            name: {
                "target": ratio(target),
                "error": found.tier_errors[name],
                "breach_probability": TIER_BREACH_PROBABILITY[name],
            }
            for name, target in found.tiers.items()
        },
        "chance_missed": found.chance_missed,
        "chance_error": found.chance_error,
        "naive": ratio(found.naive),
        "paths": [
            {"name": path.name, "share": path.share, "availability": path.availability}
            for path in found.paths
        ],
        "links": [
            {
                "service_id": link.service_id,
                "own": ratio(link.own),
                "share": link.share,
                "gain": link.gain,
                "is_member": link.is_member,
                "availability": ratio(1 - below.whole.get(link.service_id, 0.0)),
            }
            for link in found.links[:LINKS_KEPT]
        ],
        "unknown": list(below.unknown),
        "fixed": [name for name in found.fixed if name not in below.unknown],
        "samples": found.samples,
        "windows": found.windows,
        "services": len(below.graph.own),
    }
