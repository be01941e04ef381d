"""Looks at a Prometheus: whether it answers, and which families would read its metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apps.telemetry import sources
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.clients.prometheus.dialects import Dialect
from apps.telemetry.clients.prometheus.families import MetricFamily, TelemetryConfig
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.surveying import Enough, Limits, Surveyor
from apps.telemetry.proposals.documents import Survey
from apps.telemetry.proposals.proposing import Proposer

type Progress = Callable[[int, int], None]

#: How long a person waits for the check of an address, in seconds.
TRY_SECONDS = 10.0
#: For how many families a check names the services.
_FAMILIES_TRIED = 6


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of trying an address.

    Parameters:
        detail: what is wrong, in words, where it is not up.
        families: configured families that it has metrics of.
    """

    is_up: bool
    detail: str = ""
    kind: str = ""
    version: str = ""
    metrics: int = 0
    has_more_metrics: bool = False
    families: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """A sentence on what was found."""
        if not self.is_up:
            return self.detail
        more = "more than " if self.has_more_metrics else ""
        known = (
            f"{len(self.families):,} of the families that Ballast knows "
            f"{'has' if len(self.families) == 1 else 'have'} metrics there, of "
            f"{len(self.services):,} service{'' if len(self.services) == 1 else 's'}"
            if self.families
            else "none of the families that Ballast knows has metrics there, so the next step looks for others"
        )
        server = " ".join(word for word in (self.kind, self.version) if word)
        return f"{server} answers with {more}{self.metrics:,} metrics; {known}."


def try_out(where: sources.Connection) -> Tried:
    """Ask an address for its version, its metric names and their services, within a few seconds.

    This does not raise.
    """
    config = sources.telemetry_config()
    try:
        http = sources.http_to(
            where, config, timeout_seconds=TRY_SECONDS, budget_seconds=TRY_SECONDS, is_apart=True
        )
    except SourceError as error:
        return Tried(is_up=False, detail=in_words_of_the_page(error.detail))
    try:
        with sources.place(), http:
            return _tried(http, config)
    except SourceError as error:
        return Tried(is_up=False, detail=in_words_of_the_page(error.detail))


def _tried(http: PrometheusHttp, config: TelemetryConfig) -> Tried:
    surveyor = Surveyor(http, Limits(seconds=TRY_SECONDS, question_seconds=TRY_SECONDS))
    names, has_more = surveyor.names()
    dialect, version = surveyor.build()
    present = set(names)
    families = [(name, family) for name, family in config.ordered() if family.counted.metric in present]
    services = _services(surveyor, [family for _, family in families[:_FAMILIES_TRIED]])
    return Tried(
        is_up=True,
        kind="Prometheus" if dialect is Dialect.UNKNOWN else dialect.value,
        version=version,
        metrics=len(names),
        has_more_metrics=has_more,
        families=tuple(name for name, _ in families),
        services=tuple(sorted(services)),
    )


def _services(surveyor: Surveyor, families: Sequence[MetricFamily]) -> set[str]:
    """Return the services that families have series of, within the surveyor's limits; none for a huge metric."""
    found: set[str] = set()
    try:
        for family in families:
            series = surveyor.series_of(family.counted)
            if series and series <= surveyor.limits.series:
                label = family.service_label
                groups = surveyor.groups_of(family.counted, (label,), services=(label,)) or ()
                found |= {group.labels.get(label, "") for group in groups}
    except Enough:
        pass  # the services found so far are shown; there may be more
    return found - {""}


def in_words_of_the_page(text: str) -> str:
    """Return a message that names settings in the words of the form."""
    for setting, words in (
        ("PROMETHEUS_TOKEN and PROMETHEUS_ORG_ID", "the token and the tenant"),
        ("PROMETHEUS_TOKEN or PROMETHEUS_ORG_ID", "The token or the tenant"),
        ("PROMETHEUS_URL", "the address"),
        ("PROMETHEUS_TOKEN", "the token"),
        ("PROMETHEUS_ORG_ID", "the tenant"),
    ):
        text = text.replace(f". {setting}", f". {words[0].upper()}{words[1:]}").replace(setting, words)
    return text


def look(progress: Progress = lambda _done, _total: None, *, limits: Limits | None = None) -> Survey:
    """Look at the metrics of the Prometheus that is set up, and return proposed families.

    Raises:
        NoSource: none is set up.
        SourceError: it does not list its metrics.
    """
    limits = limits or Limits()
    config = sources.telemetry_config()
    http = sources.http_to(sources.required(), config, timeout_seconds=limits.question_seconds, is_apart=True)
    with http:
        return Proposer(Surveyor(http, limits, now=time.time()), config, progress).survey()


def services_of(families: Sequence[MetricFamily]) -> tuple[set[str], list[str]]:
    """Return the services that families have series of now, within a few seconds; none for a huge metric.

    The second part lists the metrics for which the server gave no answer, with the reason.

    Raises:
        SourceError: the server does not answer.
        NoSource: none is set up.
    """
    http = sources.http_to(
        sources.required(),
        sources.telemetry_config(),
        timeout_seconds=TRY_SECONDS,
        budget_seconds=2 * TRY_SECONDS,
        is_apart=True,
    )
    with sources.place(), http:
        surveyor = Surveyor(http, Limits(seconds=2 * TRY_SECONDS))
        found = _services(surveyor, families)
        return found, [f"{metric}: {why}" for metric, why in surveyor.not_looked_at.items()]
