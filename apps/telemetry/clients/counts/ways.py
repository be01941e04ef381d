"""Settles how each service of a family is counted, from the labels that its series have.

It settles which labels distinguish failures, whether a label of collectors repeats the same counters, and whether one
name stands for several environments.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from apps.telemetry.clients.base import Finding
from apps.telemetry.clients.counts import failures
from apps.telemetry.clients.counts.profiles import Profile, Profiler
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.asking import FamilyQuestions, Span, by_the_day, listed
from apps.telemetry.clients.prometheus.families import Selector
from apps.telemetry.clients.prometheus.personal_data import scrubbed

#: A collector's counter may lag behind another one by what is counted in so many seconds,
_LAG_SECONDS = 600
#: or by this share of itself where nothing is being counted.
_LAG_SHARE = 0.001
#: Counts of two collectors for one hour differ by at most so many times the root of the count, plus this share of it.
#: Counts of two processes that share a load by chance differ by more: by about the root of twice the count.
_APART_BY_CHANCE = 0.6
_APART_SHARE = 0.0003
#: Requests without a label that distinguishes failures are noted from this share of all requests on.
_LEAST_UNTOLD = 0.01
_MOST_SHARES_SHOWN = 4
#: An environment with less than this share of the requests does not matter to any number.
_LEAST_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Way:
    """How services are counted: the selectors of failures, and the label that repeats the same counters, if any."""

    bad: tuple[Selector, ...] = ()
    replicas: str = ""


@dataclass(slots=True)
class Settled:
    """How one service is counted, and the findings about it. A finding without bins concerns all bins.

    Where no series shows failures, ``unseen`` says what was asked for, and ``condition`` when 0 failures are true.
    """

    way: Way = field(default_factory=Way)
    findings: list[Finding] = field(default_factory=list)
    unseen: str = ""
    condition: str = ""
    is_unseen_elsewhere: bool = False
    """Whether failures are read from another metric than requests."""

    def failures_in_words(self) -> str:
        """Return the selectors of failures as a sentence lists them."""
        return listed([promql.vector(one) for one in self.way.bad], "and") or "the probe"

    def note(self, kind: str, subject: str = "", **detail: str | int | float) -> None:
        """Note a finding that concerns all bins."""
        self.findings.append(Finding(kind, set(), detail, subject))


@dataclass(slots=True)
class WaySettler:
    """Settles how services are counted by looking at their labels."""

    asks: FamilyQuestions
    profiler: Profiler
    too_many_requests_fail: bool = False

    def settle(self, services: Sequence[str], span: Span) -> dict[str, Settled]:
        """Return how each of the services that have series in the span is counted.

        Raises:
            SourceUnavailable: the source does not answer.
        """
        total = self.asks.total()
        profiles = self.profiler.profiles(self.asks.name, total, services, span)
        if profiles is None:
            declared = self._declared()
            return {service: self._begun(Way(declared)) for service in services}
        settled: dict[str, Settled] = {}
        heard = self._heard_elsewhere([service for service in services if service in profiles], span)
        some = {service: profiles[service] for service in services if service in profiles}
        repeated = self._repeated(some, span)
        for service, profile in some.items():
            found = settled[service] = self._begun(Way())
            found.way = Way(
                self._declared() if service in heard else self._failures(profile, found),
                repeated.get(service, ""),
            )
            if found.way.replicas:
                values = sorted(profile.values[found.way.replicas] - {""})
                found.note("replicas_merged", label=found.way.replicas, values=_shown(values))
        self._find_untold(some, settled, span)
        self._find_environments(some, settled, span)
        return settled

    def _begun(self, way: Way) -> Settled:
        """Return a start for any service of the family, with the finding that its kind alone brings."""
        settled = Settled(way)
        if self.asks.family.kind == "ratios":
            settled.note("ratio_alone", metric=self.asks.family.counted.metric)
        return settled

    # Failures

    def _declared(self) -> tuple[Selector, ...]:
        return tuple(self._with_429(self.asks.family.narrowed(one)) for one in self.asks.family.bad)

    def _heard_elsewhere(self, services: Sequence[str], span: Span) -> set[str]:
        """Return the services that have series in a separate metric of failures, even if these count 0 so far."""
        family = self.asks.family
        declared = self._declared()
        total = self.asks.total().metric
        return {
            service
            for bad in self.asks.bads([one for one in declared if one.metric != total])
            if family.kind in {"counters", "rates"}
            for service in self.asks.evidence("failures elsewhere", bad.present, services, by_the_day(span))
        }

    def _with_429(self, selector: Selector) -> Selector:
        if not self.too_many_requests_fail:
            return selector
        return selector.model_copy(
            update={"where": tuple(failures.with_429(text) for text in selector.where)}
        )

    def _failures(self, profile: Profile, found: Settled) -> tuple[Selector, ...]:
        """Return the selectors of a service's failures, and note in ``found`` what had to be assumed."""
        declared = self._declared()
        if self.asks.family.kind in {"probes", "ratios"}:
            return declared
        total, labels = self.asks.family.counted, profile.failures()
        if any(failures.could_match(one, total, labels) for one in declared):
            return (*declared, *self._of_the_others(declared, labels))
        query = listed([_in_short(one, total) for one in declared], "or")
        recognised = failures.recognise(labels, too_many_requests_fail=self.too_many_requests_fail)
        if recognised is not None:
            if declared:
                label = listed(recognised.labels, "and")
                found.note("failures_recognised", label=label, values=_shown(recognised.values), query=query)
            more = tuple(
                total.model_copy(update={"where": (*total.where, one)}) for one in recognised.matchers
            )
            return (*declared, *more)
        found.unseen = query or "a label that usually distinguishes failures (status, code or outcome)"
        found.condition = _condition(declared, total, labels)
        found.is_unseen_elsewhere = any(one.metric != total.metric for one in declared)
        return declared

    def _of_the_others(
        self, declared: Sequence[Selector], labels: Mapping[str, set[str]]
    ) -> tuple[Selector, ...]:
        """Return selectors for failures of series that have none of the labels that the declared selectors use."""
        total = self.asks.family.counted
        own = {label for label, _, _ in total.parsed()}
        telling = {label for one in declared for label, _, _ in one.parsed()} - own
        if not telling or any("" not in labels.get(label, {""}) for label in telling):
            return ()
        recognised = failures.recognise(
            {label: seen for label, seen in labels.items() if label not in telling},
            too_many_requests_fail=self.too_many_requests_fail,
        )
        without = tuple(f"{label}=" for label in sorted(telling))
        matchers = recognised.matchers if recognised else ()
        return tuple(total.model_copy(update={"where": (*total.where, *without, one)}) for one in matchers)

    def _find_untold(
        self, profiles: Mapping[str, Profile], settled: Mapping[str, Settled], span: Span
    ) -> None:
        """Note for each service the share of its requests in series without any label that distinguishes failures."""
        total = self.asks.total()
        own = {label for label, _, _ in total.selectors[0].parsed()}
        members: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for service, profile in profiles.items():
            bad = settled[service].way.bad
            telling = {label for one in bad for label, _, _ in one.parsed()} - own
            seen = {label: profile.values.get(label, {""}) for label in telling}
            if (
                not settled[service].unseen
                and all(one.metric == total.metric for one in bad)
                and telling
                and all("" in values for values in seen.values())
                and any(failures.tells_success(label, values) for label, values in seen.items())
            ):
                members[tuple(sorted(label for label, values in seen.items() if values - {""}))].append(
                    service
                )
        for labels, services in members.items():
            where = (*total.selectors[0].where, *(f"{label}=" for label in labels))
            untold = replace(total, selectors=(total.selectors[0].model_copy(update={"where": where}),))
            days = by_the_day(span)
            lacking = self.asks.evidence("requests without a status", untold.summed, services, days)
            every = self.asks.evidence("requests", total.summed, sorted(lacking), days)
            for service, values in lacking.items():
                whole = sum(every.get(service, {}).values())
                if whole > 0 and (share := sum(values.values()) / whole) >= _LEAST_UNTOLD:
                    settled[service].note(
                        "failures_partly_unseen", share=f"{share:.0%}", labels=listed(labels, "or")
                    )

    # Collectors that count the same

    def _repeated(self, profiles: Mapping[str, Profile], span: Span) -> dict[str, str]:
        """Return, by service, the label whose values repeat the same counters, where there is one."""
        family = self.asks.family
        suspects: dict[str, list[str]] = defaultdict(list)
        if family.kind == "counters" and not family.counted.native:
            for service, profile in profiles.items():
                for label in profile.collectors():
                    suspects[label].append(service)
        repeated: dict[str, str] = {}
        for label, members in sorted(suspects.items()):
            for service in self._counting_the_same(label, members, span):
                repeated.setdefault(service, label)
        return repeated

    def _counting_the_same(self, label: str, services: Sequence[str], span: Span) -> Iterator[str]:
        """Yield the services for which a label's values repeat the same counters, equal apart from a scrape's lag."""
        total = self.asks.total()
        by, without = promql.name(total.label), promql.name(label)
        window = min(3600, span[2], span[1] - span[0])

        def last(batch: Sequence[str]) -> str:
            matcher = promql.one_of(total.label, batch)
            return f"last_over_time({promql.vector(total.selectors[0], matcher)}[{window}s])"

        def lag(batch: Sequence[str], _: int) -> str:
            most, least = (f"{which} without ({without}) ({last(batch)})" for which in ("max", "min"))
            return f"sum by ({by}) ({most} - {least})"

        def level(batch: Sequence[str], _: int) -> str:
            return f"sum by ({by}) (max without ({without}) ({last(batch)}))"

        def repeats(batch: Sequence[str], _: int) -> str:
            return f"count by ({by}) (count without ({without}) ({last(batch)}) > 1)"

        def recent(batch: Sequence[str], _: int) -> str:
            vector = promql.vector(total.selectors[0], promql.one_of(total.label, batch))
            return f"sum by ({by}) (max without ({without}) (increase({vector}[{_LAG_SECONDS}s])))"

        def apart(batch: Sequence[str], _: int) -> str:
            counts = (
                f"increase({promql.vector(total.selectors[0], promql.one_of(total.label, batch))}[{window}s])"
            )
            most, least = (f"{which} without ({without}) ({counts})" for which in ("max", "min"))
            alike = f"{_APART_BY_CHANCE} * sqrt({most}) + {_APART_SHARE} * ({most}) + 1"
            return f"sum by ({by}) ({most} - {least}) / sum by ({by}) ({alike})"

        days = by_the_day(span)
        lags, levels, repeated, counted = (
            self.asks.evidence("replicas", query, services, days) for query in (lag, level, repeats, recent)
        )
        distances = self.asks.evidence("replicas", apart, sorted(repeated), (span[0], span[1], window))
        for service, known in repeated.items():
            hourly = list(distances.get(service, {}).values())
            if 2 * sum(distance > 1 for distance in hourly) > len(hourly):
                continue
            judged = [at for at, sets in known.items() if sets and at in levels.get(service, {})]
            same = [
                at
                for at in judged
                if lags.get(service, {}).get(at, math.inf)
                <= max(counted.get(service, {}).get(at, 0.0), _LAG_SHARE * levels[service][at]) + known[at]
            ]
            if judged and 2 * len(same) > len(judged):
                yield service

    # Environments

    def _find_environments(
        self, profiles: Mapping[str, Profile], settled: Mapping[str, Settled], span: Span
    ) -> None:
        members: dict[str, list[str]] = defaultdict(list)
        for service, profile in profiles.items():
            for label in profile.environments():
                members[label].append(service)
        done: set[str] = set()
        for label in sorted(members, key=lambda one: (-len(members[one]), one)):
            rest = [service for service in members[label] if service not in done]
            for service, requests in self._requests_by(label, rest, span).items():
                whole = sum(requests.values())
                shares = {
                    one: count / whole for one, count in requests.items() if count >= _LEAST_SHARE * whole
                }
                if len(shares) > 1:
                    done.add(service)
                    settled[service].note("environments", label, **_environment_words(label, shares))

    def _requests_by(self, label: str, services: Sequence[str], span: Span) -> dict[str, dict[str, float]]:
        """Return the requests of each value of a label, by service."""
        if not services:
            return {}
        total = self.asks.total()
        by = promql.names([total.label, label])
        days = by_the_day(span)
        found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for part in self.asks.questions.ask_range(
            "environments",
            self.asks.name,
            lambda batch: f"sum by ({by}) ({total.amounts(batch, days[2])})",
            services,
            days,
            (total.label, label),
            self.asks.quality,
            per_service=_MOST_SHARES_SHOWN,
        ):
            for series in part.series:
                counts = [value for value in series.values.values() if math.isfinite(value) and value > 0]
                if counts:
                    service, value = (series.labels.get(one, "") for one in (total.label, label))
                    found[service][value] += sum(counts)
        return found


def _in_short(selector: Selector, total: Selector) -> str:
    """Return a selector of failures as text, without the matchers that it shares with the selector of all requests."""
    own = set(total.where) if selector.metric == total.metric else set()
    return promql.vector(
        selector.model_copy(update={"where": tuple(one for one in selector.where if one not in own)})
    )


def _condition(declared: Sequence[Selector], total: Selector, labels: Mapping[str, set[str]]) -> str:
    """Return the condition under which 0 failures are true, in words that follow "only if"."""
    elsewhere = sorted({one.metric for one in declared if one.metric != total.metric})
    if elsewhere:
        return f"{listed(elsewhere, 'or')} gets a series of this service with its first failure"
    names = sorted(label for label, seen in labels.items() if seen - {""})
    known = f"; the values of {listed(names, 'and')} name no known kind of failure" if names else ""
    return f"failed requests get a series of their own that has such a label{known}"


def _environment_words(label: str, shares: Mapping[str, float]) -> dict[str, str | int | float]:
    ranked = sorted(shares, key=lambda value: (-shares[value], value))
    shown = [f"{scrubbed(value) or 'none'} {shares[value]:.1%}" for value in ranked[:_MOST_SHARES_SHOWN]]
    if len(ranked) > _MOST_SHARES_SHOWN:
        shown.append(f"{len(ranked) - _MOST_SHARES_SHOWN} more")
    return {
        "label": label,
        "count": len(ranked),
        "shares": listed(shown, "and"),
        "matcher": scrubbed(promql.all_but(label, ranked[1:])),
    }


def _shown(values: Sequence[str]) -> str:
    return listed([scrubbed(value) for value in values], "and")
