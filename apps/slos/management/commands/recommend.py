"""``manage.py recommend``: what the engine says, as JSON Lines or a table. Stores nothing unless told to."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Actor
from apps.core.models import AuditEntry
from apps.engine.document import RecommendationDocument
from apps.slos.formatting import TIERS, number_words
from apps.ui.format import plural

STORED_AT_ONCE = 500
NO_SERVICES = """There are no services yet, so there is nothing to recommend. Get data in first:
  manage.py import_observations DIR    from CSV files (docs/file-format.md)
  manage.py backfill --days 90         from Prometheus, once PROMETHEUS_URL is set (docs/telemetry.md)
  manage.py demo                       an invented fleet, to look around (docs/demo.md)"""


class Command(BaseCommand):
    help = "Recommend SLOs: one JSON object a service on stdout (docs/recommendation-format.md), or a table."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--service", action="append", default=[], metavar="ID", help="only this one; repeatable"
        )
        parser.add_argument(
            "--as-of",
            metavar="ISO",
            help="read no telemetry after this; the graph (edges, criticality, published SLAs) is today's all the "
            "same; default: end of the newest complete bin",
        )
        parser.add_argument("--window-days", type=int, default=settings.WINDOW_DAYS, metavar="N")
        parser.add_argument("--seed", type=int, default=0, metavar="N")
        parser.add_argument("--format", choices=("json", "table"), default="json")
        parser.add_argument(
            "--store", action="store_true", help="keep the result as the current recommendations"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Here and not above: listing the commands must not load scipy.
        from apps.slos.making import compute

        if not 1 <= options["window_days"] <= 90:
            raise CommandError("--window-days must lie between 1 and 90.")
        as_of = parse_instant(options["as_of"]) if options["as_of"] else compute.default_as_of()
        services = chosen(options["service"])
        if not services:
            self.stderr.write(NO_SERVICES)
            return
        computed_from = instants.now()
        documents = compute.documents(
            [(as_of, services)], window_days=options["window_days"], seed=options["seed"], leave_out=True
        )
        made = 0
        kept: list[RecommendationDocument] = []
        if options["format"] == "table":
            self.stdout.write(HEADER)
        with transaction.atomic(), closing(documents) as found:
            for document in found:
                made += 1
                self.stdout.write(
                    json_line(document) if options["format"] == "json" else table_line(document)
                )
                if options["store"]:
                    kept.append(document)
                if len(kept) >= STORED_AT_ONCE:
                    self.keep(kept, computed_from)
                    kept = []
            if kept:
                self.keep(kept, computed_from)
        if made < len(services):
            raise CommandError(
                f"{len(services) - made} of {plural(len(services), 'service')} could not be computed: the log above "
                "names each and says why. The others were."
            )

    def keep(self, kept: list[RecommendationDocument], computed_from: datetime) -> None:
        from apps.slos.making import compute

        compute.store(
            kept,
            computed_from=computed_from,
            actor=Actor.system("recommend", AuditEntry.Source.COMMAND),
            rationale="manage.py recommend --store",
        )


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--as-of {text!r} is no ISO 8601 instant, such as 2026-03-01T00:00:00Z."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def chosen(service_ids: list[str]) -> list[Service]:
    """Return the named services in the order given, or all by id."""
    if not service_ids:
        return list(Service.objects.order_by("service_id"))
    by_id = {service.service_id: service for service in Service.objects.filter(service_id__in=service_ids)}
    missing = [name for name in service_ids if name not in by_id]
    if missing:
        raise CommandError(f"There is no service called {', '.join(missing)}.")
    return [by_id[name] for name in dict.fromkeys(service_ids)]


def json_line(document: RecommendationDocument) -> str:
    """One line, the same bytes for the same document; what has no number is null."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def table_line(document: RecommendationDocument) -> str:
    """One service: verdict, observed, the three tiers, the p95 and p99 thresholds of the balanced tier."""
    part = document["availability"]
    tiers = part["tiers"]
    cells = [number_words("availability", tiers[tier]["target"] if tiers else None) for tier in TIERS]
    cells += [
        number_words("latency_p95", latency["balanced"]["target"] if latency else None)
        for latency in (document["latency"]["p95_ms"]["tiers"], document["latency"]["p99_ms"]["tiers"])
    ]
    return ROW.format(
        document["service_id"],
        part["verdict"],
        number_words("availability", part["observed"]),
        *cells,
    )


ROW = "{:<44} {:<20} {:>11} {:>12} {:>11} {:>11} {:>10} {:>10}"
HEADER = ROW.format("service", "verdict", "observed", "conservative", "balanced", "aggressive", "p95", "p99")
