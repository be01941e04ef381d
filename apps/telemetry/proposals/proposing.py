"""Looks at a server's metrics and proposes families, each with its evidence and doubts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from apps.telemetry.clients.counts import failures
from apps.telemetry.clients.prometheus.families import BucketSelector, MetricFamily, Selector, TelemetryConfig
from apps.telemetry.clients.prometheus.promql import one_of
from apps.telemetry.clients.prometheus.surveying import Described, Enough, Group, Surveyor
from apps.telemetry.proposals import comparing, labels, names, weighing
from apps.telemetry.proposals.documents import NAMES_SHOWN, Evidence, Proposal, Survey
from apps.telemetry.proposals.names import Candidate

#: The most metrics that are looked at closely; each takes at most five questions.
MAX_LOOKED_AT = 40
#: Bounds from at least 1 to more than this are probably milliseconds, not seconds.
_LONGEST_SECONDS = 120.0

type Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Found:
    """A proposal, and each service's requests a second for comparisons."""

    proposal: Proposal
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Looked:
    """How a metric is labelled.

    Parameters:
        present: the names of its labels.
        groups: its series by the labels that may be useful.
        ranked: the labels that may name services, at least one, the best first.
    """

    series: int
    present: frozenset[str]
    uses: labels.Uses
    groups: Sequence[Group]
    ranked: Sequence[labels.ServiceLabel]


@dataclass(slots=True)
class Proposer:
    """Proposes families within the limits of the surveyor.

    Parameters:
        config: the configured families, which are looked at first.
    """

    surveyor: Surveyor
    config: TelemetryConfig
    progress: Progress = lambda _done, _total: None
    _left_out: Counter[str] = field(default_factory=Counter)
    _described: Mapping[str, Described] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def survey(self) -> Survey:
        """Look at the server, and propose families.

        Raises:
            SourceError: the server does not list its metrics.
        """
        surveyor = self.surveyor
        metrics, has_more = surveyor.names()
        not_looked_at = surveyor.not_looked_at
        if has_more:
            not_looked_at["metric names"] = (
                f"Only the first {len(metrics):,} in alphabetical order were examined."
            )
        found: list[_Found] = []
        try:
            self._described = surveyor.described()
            ordered = self.config.ordered()
            chosen, self._left_out = names.candidates(metrics, self._described, ordered)
            self._taken = {name for name, _ in ordered}
            if len(chosen) > MAX_LOOKED_AT:
                self._left_out["less likely than the ones looked at"] += len(chosen) - MAX_LOOKED_AT
            chosen = chosen[:MAX_LOOKED_AT]
            for number, candidate in enumerate(chosen):
                self.progress(number, len(chosen))
                found += self._propose(candidate)
            self.progress(len(chosen), len(chosen))
        except Enough as error:
            not_looked_at["everything after"] = str(error)
        self._judge(found)
        return Survey(
            proposals=[one.proposal for one in found],
            left_out=dict(self._left_out),
            not_looked_at=dict(not_looked_at),
            metrics=len(metrics),
            questions=surveyor.asked,
            seconds=round(surveyor.seconds, 1),
        )

    def _propose(self, candidate: Candidate) -> list[_Found]:
        """Return configured families that have services here, or a family made for the metric."""
        presets = [(name, self.config.families[name]) for name in candidate.presets]
        if not presets:
            made = self._look(candidate, Selector(metric=candidate.metric, native=candidate.native), ())
            return [made] if made else []
        found: list[_Found] = []
        seen: set[tuple[str, ...]] = set()
        for _, family in presets:
            if family.counted.where not in seen:  # A family by another label reads the same series.
                seen.add(family.counted.where)
                same = [one for one in presets if one[1].counted.where == family.counted.where]
                one = self._look(candidate, family.counted, same)
                found += [one] if one else []
        return found

    def _look(
        self, candidate: Candidate, counted: Selector, presets: Sequence[tuple[str, MetricFamily]]
    ) -> _Found | None:
        looked = self._labelled(candidate, counted, [family.service_label for _, family in presets])
        if looked is None:
            return None
        preset, chosen = _preset_for(presets, looked.ranked, candidate)
        evidence = Evidence(series=looked.series, services=len(chosen.services))
        doubts = weighing.label_doubts(chosen, looked.ranked)
        if preset:
            family = preset[1]
        elif presets:
            family = presets[0][1].model_copy(update={"service_label": chosen.label})
        else:
            bad = self._bad(candidate, counted, looked, evidence, doubts)
            if candidate.kind == "counters" and not bad and not names.says_requests(candidate.metric):
                self._left_out["counters without a sign of failures"] += 1
                return None
            family = _family(candidate, chosen.label, counted, bad)
        rates = self._count(family, looked, evidence)
        busiest = max(rates, key=lambda one: rates[one], default=min(chosen.services))
        family = self._latency(candidate, family, busiest, evidence, doubts, is_known=bool(presets))
        evidence.twice = weighing.twice(looked.groups, chosen.label, looked.uses)
        limit = self.surveyor.limits.groups
        if len(looked.groups) >= limit:
            doubts.append(f"It has more than {limit:,} combinations of labels; the rest was not examined.")
        base = f"{presets[0][0]}-{chosen.label}" if presets else candidate.base
        proposal = Proposal(
            name=preset[0] if preset else self._name(base),
            family=family,
            preset=preset is not None,
            score=weighing.score(candidate, evidence, is_preset=preset is not None),
            evidence=evidence,
            doubts=doubts,
        )
        return _Found(proposal, rates)

    def _labelled(self, candidate: Candidate, counted: Selector, wanted: Sequence[str]) -> _Looked | None:
        """Ask for a metric's number of series and their labels; ``None`` if there are too many, or none to use."""
        surveyor = self.surveyor
        series = surveyor.series_of(counted)
        if not series:
            self._left_out["without a series now"] += series == 0
            return None
        found = surveyor.labels_of(counted)
        if found is None:
            return None
        uses = labels.uses(found, wanted=wanted)
        if series > surveyor.limits.series:
            surveyor.not_looked_at[candidate.metric] = (
                f"It has {series:,} series; the survey examines at most {surveyor.limits.series:,}. "
                "Describe it by hand, with a where that narrows it."
            )
            return None
        groups = (uses.services and surveyor.groups_of(counted, uses.all, services=uses.services)) or []
        ranked = labels.service_labels(groups, uses.services)
        if not ranked:
            self._left_out["without a label that names a service"] += 1
            return None
        return _Looked(series, frozenset(found), uses, groups, ranked)

    def _bad(
        self,
        candidate: Candidate,
        counted: Selector,
        looked: _Looked,
        evidence: Evidence,
        doubts: list[str],
    ) -> tuple[Selector, ...]:
        """Return the selectors of failures, by labels or another metric; note them as evidence, or add a doubt."""
        if candidate.kind in {"ratios", "probes"}:
            return ()
        recognised = failures.recognise(
            labels.values_by_label(looked.groups, looked.uses.failures),
            too_many_requests_fail=self.config.too_many_requests_fail,
        )
        if recognised is not None:
            evidence.failures_by = list(recognised.labels)
            evidence.knows_failures = True
            evidence.failure_values = list(recognised.values[: weighing.VALUES_SHOWN])
            return tuple(counted.model_copy(update={"where": (one,)}) for one in recognised.matchers)
        if candidate.failed:
            evidence.failures_by = list(candidate.failed)
            doubts.append(
                f"Failures come from another metric, {candidate.failed[0]}, because of its name: does it count the "
                "same requests?"
            )
            return tuple(Selector(metric=one) for one in candidate.failed)
        doubts.append(
            "No label distinguishes failures, so availability cannot be read: name a metric or a label that does."
        )
        return ()

    def _count(self, family: MetricFamily, looked: _Looked, evidence: Evidence) -> dict[str, float]:
        """Ask for each service's requests and failures, and return its requests a second."""
        surveyor = self.surveyor
        window = surveyor.window_for(looked.series)
        failing = tuple(label for label in weighing.failure_labels(family) if label in looked.present)
        by = (family.service_label, *failing)
        groups = surveyor.requests_of(family.counted, by, window, kind=family.kind)
        if groups is None:
            return {}
        total, failed = weighing.sums(groups, family, failing)
        named = {service: value for service, value in total.items() if service not in {"", "unknown"}}
        evidence.window_seconds = window
        evidence.names = sorted(named, key=lambda one: (-named[one], one))[:NAMES_SHOWN]
        whole = sum(named.values())
        if family.kind == "probes":
            evidence.failure_share = 1.0 - whole / len(named) if named else None
        elif family.kind == "ratios":
            evidence.failure_share = whole / len(named) if named else None
        else:
            evidence.requests = whole if family.kind == "counters" else whole * window
            if failing and whole:
                evidence.failures_by = evidence.failures_by or list(failing)
                evidence.knows_failures = True
            elif family.bad and family.kind == "counters":
                other = surveyor.requests_of(
                    family.narrowed(family.bad[0]), (family.service_label,), window, kind=family.kind
                )
                failed = {group.labels.get(family.service_label, ""): group.value for group in other or ()}
            if whole and (failing or failed):
                evidence.failure_share = sum(failed.get(service, 0.0) for service in named) / whole
        if family.kind not in {"counters", "rates"}:
            return {}
        divisor = window if family.kind == "counters" else 1
        return {service: value / divisor for service, value in named.items()}

    def _latency(
        self,
        candidate: Candidate,
        family: MetricFamily,
        service: str,
        evidence: Evidence,
        doubts: list[str],
        *,
        is_known: bool,
    ) -> MetricFamily:
        """Look at one service's histogram, and add it to the family with its unit."""
        if family.kind != "counters":
            return family
        if is_known:
            classic = [one for one in family.buckets if not one.native]
            if not classic:
                return family
            selector: Selector = family.narrowed(classic[0])
        elif not candidate.buckets:
            doubts.append("No histogram of latencies was found beside it.")
            return family
        else:
            selector = Selector(metric=candidate.buckets, native=candidate.native)
        unit = names.unit_of(candidate, self._described) if not is_known else classic[0].unit
        bounds: list[float] = []
        if not selector.native:
            bounds = self.surveyor.bounds_of(selector, one_of(family.service_label, [service])) or []
            if not bounds:
                if not is_known:
                    doubts.append(f"{selector.metric} has no series of {service}, so no latencies are read.")
                return family
            evidence.buckets = len(bounds) + 1
        if not unit:
            positive = [bound for bound in bounds if bound > 0]
            unit = "ms" if positive and positive[-1] > _LONGEST_SECONDS and positive[0] >= 1 else "s"
            doubts.append(
                f"The unit of {selector.metric} is not stated; its bounds suggest {unit}, which is used."
            )
        evidence.unit = unit
        if is_known:
            return family
        found = BucketSelector(metric=selector.metric, native=selector.native, unit=unit)
        return family.model_copy(update={"buckets": (found,)})

    def _name(self, words: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", words.removesuffix("_total").lower()).strip("-")[:50]
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}-{number}", number + 1
        self._taken.add(name)
        return name

    def _judge(self, found: list[_Found]) -> None:
        """Rank the proposals, note overlaps, and recommend those that no better recommended proposal covers."""
        found.sort(
            key=lambda one: (_KINDS.index(one.proposal.family.kind), -one.proposal.score, one.proposal.name)
        )
        for number, one in enumerate(found):
            proposal = one.proposal
            same = [
                (better, overlap)
                for better in found[:number]
                if (overlap := comparing.overlap(one.rates, better.rates)) is not None
            ]
            proposal.overlaps = [overlap.words(better.proposal.name) for better, overlap in same]
            failures_known = proposal.family.kind in {"ratios", "probes"} or proposal.evidence.knows_failures
            covered = any(better.proposal.is_recommended for better, _ in same)
            proposal.is_recommended = failures_known and not covered


def _preset_for(
    presets: Sequence[tuple[str, MetricFamily]], ranked: Sequence[labels.ServiceLabel], candidate: Candidate
) -> tuple[tuple[str, MetricFamily] | None, labels.ServiceLabel]:
    """Return the configured family that names services best here, unless another label is clearly better."""
    for one in ranked:
        for name, family in presets:
            if one.label == family.service_label:
                if candidate.kind != "probes" and labels.is_more_telling(ranked[0], one):
                    return None, ranked[0]
                return (name, family), one
    return None, ranked[0]


_KINDS = ("counters", "rates", "ratios", "probes")


def _family(
    candidate: Candidate, service_label: str, counted: Selector, bad: tuple[Selector, ...]
) -> MetricFamily:
    if candidate.kind == "ratios":
        return MetricFamily(kind="ratios", service_label=service_label, bad=(counted,))
    return MetricFamily(kind=candidate.kind, service_label=service_label, total=counted, bad=bad)
