"""Judge what each metric family says of a service, and choose which family to take for which hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.base import AvailabilityReading, CountBins, Finding, Stretch
from apps.telemetry.clients.counts.choosing import Account, Disagreement, choose
from apps.telemetry.clients.counts.counting import CountReader, Evidence
from apps.telemetry.clients.counts.diagnosis import Diagnosis
from apps.telemetry.clients.counts.plausibility import Judge
from apps.telemetry.clients.counts.profiles import Profiler
from apps.telemetry.clients.counts.ways import WaySettler
from apps.telemetry.clients.prometheus.asking import FamilyQuestions, Span

#: The most looks at raw samples in one reading of a family; each look takes two small questions.
_MOST_LOOKS = 60
#: How many warnings of the source a finding repeats.
_WARNINGS_SHOWN = 3


@dataclass(slots=True)
class FamilyAccount:
    """What one family counts for one service, after judging."""

    service_id: str
    family: str
    bins: CountBins
    findings: list[Finding]
    metric: str
    label: str


def read_family(
    asks: FamilyQuestions,
    profiler: Profiler,
    services: Sequence[str],
    span: Span,
    usual: Mapping[str, Mapping[int, float]],
    *,
    too_many_requests_fail: bool = False,
    present: frozenset[str] = frozenset(),
) -> Iterator[FamilyAccount]:
    """Read and judge what a family counts for some services; yield an account for each one that has data.

    Parameters:
        usual: known requests of other hours, by service and by the hour's start.
        present: the metrics that the source has.

    Raises:
        SourceError: the source cannot be read.
    """
    settled = WaySettler(asks, profiler, too_many_requests_fail).settle(services, span)
    reader = CountReader(asks, present)
    found = reader.read(settled, span)
    looks = 0

    def looking(
        service_id: str, evidence: Evidence, ends_at: int, of_bad: bool, by_falls: bool
    ) -> Diagnosis | None:
        nonlocal looks
        looks += 1
        if looks > _MOST_LOOKS:
            return None
        way = evidence.settled.way
        return reader.look(service_id, way, span[2], ends_at, of_bad=of_bad, by_falls=by_falls)

    fails_somewhere = any(evidence.bad for evidence in found.values())
    for service_id, evidence in found.items():
        if fails_somewhere and evidence.settled.is_unseen_elsewhere:
            # The query matches failures of other services, so it is right.
            evidence.settled.unseen = ""

        def look(
            ends_at: int,
            of_bad: bool,
            by_falls: bool,
            evidence: Evidence = evidence,
            service_id: str = service_id,
        ) -> Diagnosis | None:
            return looking(service_id, evidence, ends_at, of_bad, by_falls)

        warnings = asks.quality.warnings[:_WARNINGS_SHOWN]
        judge = Judge(evidence, span[2], usual.get(service_id, {}), look, warnings)
        bins = judge.bins()
        counted = asks.family.counted.metric
        yield FamilyAccount(service_id, asks.name, bins, judge.findings, counted, asks.family.service_label)


def take(accounts: Sequence[FamilyAccount], reading: AvailabilityReading) -> None:
    """Choose among the accounts of one service, and add the chosen bins and the findings to the reading."""
    service_id, step = accounts[0].service_id, accounts[0].bins.step_seconds
    by_family = {account.family: account for account in accounts}
    choice = choose(
        [
            Account(
                account.family,
                dict(zip(account.bins.at, account.bins.total, strict=True)),
                frozenset(account.bins.implausible),
                account.metric,
                account.label,
            )
            for account in accounts
        ]
    )
    bins = _merged(by_family, choice.taken, step)
    reading.series[service_id] = bins
    if bins.implausible:
        reading.quality.implausible_bins[service_id] += len(bins.implausible)
    reading.stretches[service_id] = _stretches(choice.taken, step)
    for account in accounts:
        for finding in account.findings:
            hours = {at for at in finding.hours if choice.taken.get(at) == account.family}
            if hours:
                reading.quality.find(
                    service_id, Finding(finding.kind, hours, finding.detail, finding.subject)
                )
    for (taken, other), days in _by_pair(choice.disagreements).items():
        reading.quality.find(service_id, _disagreement(taken, other, days))


def _merged(by_family: Mapping[str, FamilyAccount], taken: Mapping[int, str], step: int) -> CountBins:
    places = {
        family: {at: place for place, at in enumerate(account.bins.at)}
        for family, account in by_family.items()
    }
    merged = CountBins(step)
    for at in sorted(taken):
        place = places[taken[at]].get(at)
        if place is None:
            merged.implausible.append(at)
            continue
        bins = by_family[taken[at]].bins
        merged.at.append(at)
        merged.total.append(bins.total[place])
        merged.bad.append(bins.bad[place])
        merged.partial.append(bins.partial[place])
    return merged


def _stretches(taken: Mapping[int, str], step: int) -> list[Stretch]:
    stretches: list[Stretch] = []
    for at in sorted(taken):
        last = stretches[-1] if stretches else None
        if last is not None and last.family == taken[at]:
            stretches[-1] = Stretch(last.family, last.start, at + step, last.bins + 1)
        else:
            stretches.append(Stretch(taken[at], at, at + step, 1))
    return stretches


def _by_pair(disagreements: Sequence[Disagreement]) -> dict[tuple[str, str], list[Disagreement]]:
    pairs: dict[tuple[str, str], list[Disagreement]] = defaultdict(list)
    for one in disagreements:
        pairs[one.taken, one.other].append(one)
    return pairs


def _disagreement(taken: str, other: str, days: Sequence[Disagreement]) -> Finding:
    more = sum(day.taken_total for day in days)
    fewer = sum(day.other_total for day in days)
    return Finding(
        "families_disagree",
        set().union(*(day.at for day in days)),
        {
            "family": other,
            "taken": taken,
            "share": f"{fewer / more:.1%}",
            "fewer": f"{fewer:,.0f}",
            "more": f"{more:,.0f}",
        },
        other,
    )
