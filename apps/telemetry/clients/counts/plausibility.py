"""Judges the counts of a service: impossible counts are left out and named, lost counts are added.

The judge does no input or output itself; it looks at raw samples only through the ``look`` that its caller passes in.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from apps.telemetry.clients.base import CountBins, Finding
from apps.telemetry.clients.counts.counting import Evidence
from apps.telemetry.clients.counts.diagnosis import Cause, Diagnosis
from apps.telemetry.clients.counts.jumps import (
    OUT_OF_ALL_PROPORTION,
    SUSPECT_AFTER_A_FALL,
    WORTH_A_LOOK,
    jumps,
)
from apps.telemetry.clients.prometheus.matrix import impossible, whole

#: From the first share of falling samples a counter may have several writers; from the second it surely has.
_WRITERS_FROM = 0.08
_WRITERS_SURELY = 1 / 3
#: The most bins of one service whose samples are looked at.
_MOST_LOOKS = 8
#: First values of new series are added up to this share of the busiest bin around, plus so many requests.
_BIRTHS_SHARE = 0.5
_BIRTHS_FEW = 10.0
_HOURS_AROUND = 3
#: Bins without a fall of a counter that suffice to know what is usual.
_ENOUGH_CALM = 24
#: A counter whose falls reach the second share in at least so many bins, and in most bins of all, is no counter.
_RESTLESS_BINS = 12
#: Bins with fewer falls are left out too if such bins are before and after them within so many bins.
_RESTLESS_WITHIN = 6
#: Where counters fall in most bins, nothing shows what is usual: so many bins are looked at, the largest first.
_LOOKS_EVERYWHERE = 3
#: A dip matters if it adds at least this share of what its bin counts.
_DIP_ADDS = 0.1
#: Failures that jump are looked at if they are at least this share of the requests.
_BAD_SHARE = 0.01

_NAN_LEFT_OUT = "series that count NaN are left out of them"

type Look = Callable[[int, bool, bool], Diagnosis | None]
"""Called with ``(ends_at, of_bad, by_falls)``: looks at the samples of a counter that fell in the bin that ends at
``ends_at``. ``of_bad`` chooses a counter of failures instead of requests; ``by_falls`` chooses the counter that fell
most often instead of the one that counts most. Returns ``None`` where the samples are not available.
"""


@dataclass(slots=True)
class Judge:
    """Judges one service's bins of ``step`` seconds.

    Parameters:
        usual: known requests of other hours, by the hour's start.
        look: looks at raw samples of the source.
        warnings: warnings that came with the source's answers.
    """

    evidence: Evidence
    step: int
    usual: Mapping[int, float]
    look: Look
    warnings: Sequence[str] = ()
    total: dict[int, float] = field(init=False)
    bad: dict[int, float] = field(init=False)
    findings: list[Finding] = field(default_factory=list)
    _left_out: set[int] = field(default_factory=set)
    _looks: int = 0

    def __post_init__(self) -> None:
        self.total = dict(self.evidence.total)
        self.bad = {at: self.evidence.bad.get(at, 0.0) for at in self.total}

    def bins(self) -> CountBins:
        """Judge the counts, and return the bins that are plausible."""
        self._throw_out_impossible()
        self._throw_out_writers()
        self._throw_out_dips()
        self._throw_out_jumps()
        self._count_births()
        made = CountBins(self.step)
        made.implausible = sorted(at - self.step for at in self._left_out | self._without_total())
        for ends_at in sorted(self.total.keys() - self._left_out):
            total = whole(self.total[ends_at])
            made.at.append(ends_at - self.step)
            made.total.append(total)
            made.bad.append(min(whole(self.bad[ends_at]), total))
            made.partial.append(ends_at in self.evidence.partial)
        self._say_what_is_doubtful(made)
        return made

    # What cannot be true

    def _without_total(self) -> set[int]:
        return set(self.evidence.bad) - set(self.total)

    def _throw_out_impossible(self) -> None:
        by_reason: dict[str, list[int]] = {}
        for ends_at in sorted(self.total.keys() | self._without_total()):
            reason = impossible(self.total.get(ends_at, math.nan), self.evidence.bad.get(ends_at, 0.0))
            if reason:
                by_reason.setdefault(reason, []).append(ends_at)
        for reason, bins in by_reason.items():
            self._throw_out("impossible", bins, subject=reason, what=reason)

    def _throw_out_writers(self) -> None:
        for of_bad, shares in ((False, self.evidence.worst_resets), (True, self.evidence.bad_worst_resets)):
            suspects = {
                at: share
                for at, share in shares.items()
                if share >= _WRITERS_FROM and at in self.total and at not in self._left_out
            }
            if suspects:
                self._throw_out_suspects(suspects, of_bad=of_bad)

    def _throw_out_suspects(self, suspects: Mapping[int, float], *, of_bad: bool) -> None:
        worst = max(suspects, key=lambda at: (suspects[at], at))
        seen = self._looked(worst, of_bad=of_bad, by_falls=True)
        if seen is None:
            bins = [at for at, share in suspects.items() if share >= _WRITERS_SURELY]
        elif seen.cause is Cause.SEVERAL_WRITERS:
            bins = [at for at, share in suspects.items() if 2 * share >= suspects[worst]]
        else:
            self._throw_out_restless(suspects)
            return
        detail = {"resets": "a third", "samples": "the"} if seen is None else {}
        if seen is not None:
            detail = {"resets": f"{seen.falls:,}", "samples": f"{seen.samples:,}"}
        self._throw_out("several_writers", bins, **detail)

    def _throw_out_restless(self, suspects: Mapping[int, float]) -> None:
        """Throw out bins of a counter that falls again and again, hour after hour: it is not a running count."""
        restless = sorted(at for at, share in suspects.items() if share >= _WRITERS_SURELY)
        if len(restless) < _RESTLESS_BINS or 2 * len(restless) <= len(self.total):
            return
        within = _RESTLESS_WITHIN * self.step
        among = {
            at
            for at in self.total
            for place in (bisect_left(restless, at),)
            if 0 < place < len(restless) and at - restless[place - 1] <= within >= restless[place] - at
        }
        share = max(suspects[at] for at in restless)
        self._throw_out("no_counter", among | set(restless), share=f"{share:.0%}")

    def _throw_out_dips(self) -> None:
        """Throw out hours that count the whole counter again because it fell a little and went on."""
        for of_bad, factor in ((False, WORTH_A_LOOK), (True, SUSPECT_AFTER_A_FALL)):
            found = self._jumps_with_a_fall(self.bad if of_bad else self.total, factor, of_bad=of_bad)
            dips: list[int] = []
            fall = ""
            for ends_at, times in sorted(found.items(), key=lambda one: -one[1]):
                if of_bad and self.bad[ends_at] < _BAD_SHARE * self.total[ends_at]:
                    continue
                seen = self._looked(ends_at, of_bad=of_bad, by_falls=False)
                if seen is not None and seen.cause is Cause.DIP:
                    fall = f"{seen.fell_from - seen.fell_to:,.6g} of {seen.fell_from:,.6g}"
                    dips.append(ends_at)
                elif seen is None and dips and len(dips) >= self._looks:
                    # Every bin that was looked at was a dip, and no more looks are left.
                    dips.append(ends_at)
                elif seen is None and not of_bad and times > SUSPECT_AFTER_A_FALL:
                    self._throw_out_jump(ends_at, times)
            self._throw_out("dip", dips, fall=fall)
        self._throw_out_dips_everywhere()

    def _throw_out_dips_everywhere(self) -> None:
        """Throw out hours with dips where so many hours have one that none stands out."""
        for of_bad in (False, True):
            counted = self.bad if of_bad else self.total
            resets = self.evidence.bad_resets if of_bad else self.evidence.resets
            kept = counted.keys() - self._left_out
            fell = sorted((at for at in kept if resets.get(at)), key=lambda at: (-counted[at], at))
            calm = sorted(counted[at] for at in kept if not resets.get(at))
            known = len(calm) if of_bad else len(calm) + len(self.usual)
            if not fell or (known >= _ENOUGH_CALM and 2 * len(fell) <= len(kept)):
                continue
            fall = ""
            for ends_at in fell[:_LOOKS_EVERYWHERE]:
                seen = self._looked(ends_at, of_bad=of_bad, by_falls=False)
                if seen is None or seen.cause is not Cause.DIP or seen.fell_to < _DIP_ADDS * counted[ends_at]:
                    break
                fall = f"{seen.fell_from - seen.fell_to:,.6g} of {seen.fell_from:,.6g}"
            else:
                least = WORTH_A_LOOK * calm[len(calm) // 2] if calm else 0.0
                self._throw_out("dip", [at for at in fell if counted[at] > least], fall=fall)

    def _throw_out_jumps(self) -> None:
        totals = self._starts(self.total)
        for at, times in jumps(totals, {**self.usual, **totals}, factor=OUT_OF_ALL_PROPORTION).items():
            self._throw_out_jump(at + self.step, times)

    def _throw_out_jump(self, ends_at: int, times: float) -> None:
        self._throw_out("jump", [ends_at], times=f"{times:,.0f}", total=f"{self.total[ends_at]:,.0f}")

    def _starts(self, values: Mapping[int, float]) -> dict[int, float]:
        """Return the values of the bins that are not left out, by the bin's start."""
        return {at - self.step: value for at, value in values.items() if at not in self._left_out}

    def _jumps_with_a_fall(
        self, values: Mapping[int, float], factor: float, *, of_bad: bool
    ) -> dict[int, float]:
        """Return the jumps among bins in which a counter fell, compared with the other bins if these are enough."""
        every = self._starts(values)
        evidence = self.evidence
        fell = {
            at: value
            for at, value in every.items()
            if evidence.resets.get(at + self.step) or (of_bad and evidence.bad_resets.get(at + self.step))
        }
        calm = {at: value for at, value in every.items() if at not in fell} | (
            {} if of_bad else {**self.usual}
        )
        found = jumps(fell, calm if len(calm) >= _ENOUGH_CALM else {**self.usual, **every}, factor=factor)
        return {at + self.step: times for at, times in found.items()}

    def _looked(self, ends_at: int, *, of_bad: bool, by_falls: bool) -> Diagnosis | None:
        if self._looks >= _MOST_LOOKS:
            return None
        self._looks += 1
        return self.look(ends_at, of_bad, by_falls)

    def _throw_out(
        self, kind: str, bins: Iterable[int], subject: str = "", **detail: str | int | float
    ) -> None:
        ended = set(bins)
        if ended:
            self._left_out |= ended
            self._note(kind, ended, subject, **detail)

    # What was lost

    def _count_births(self) -> None:
        """Add the first values of new series where so much can have happened since the sample before."""
        counted: set[int] = set()
        unknown: set[int] = set()
        most = {"series": 0.0, "requests": 0.0, "failures": 0.0}
        lost = 0.0
        for ends_at in sorted(self.total.keys() - self._left_out):
            born = max(0.0, self.evidence.births.get(ends_at, 0.0))
            bad_born = max(0.0, self.evidence.bad_births.get(ends_at, 0.0))
            dated = self.evidence.dated.get(ends_at, 0.0)
            if not born and not bad_born:
                continue
            if born - dated > _BIRTHS_SHARE * self._around(ends_at) + _BIRTHS_FEW:
                unknown.add(ends_at)
                lost = max(lost, born - dated)
                born, bad_born = dated, self.evidence.bad_dated.get(ends_at, 0.0)
                if not born:
                    continue
            total = self.total[ends_at] + born
            bad = self.bad[ends_at] + bad_born
            if impossible(total, bad):
                unknown.add(ends_at)
                lost = max(lost, bad_born)
                continue
            self.total[ends_at], self.bad[ends_at] = total, min(bad, total)
            counted.add(ends_at)
            for name, value in zip(most, (self.evidence.born.get(ends_at, 1.0), born, bad_born), strict=True):
                most[name] = max(most[name], value)
        if counted:
            self._note("births_counted", counted, **{name: f"{value:,.6g}" for name, value in most.items()})
        if unknown:
            self._note("births_unknown", unknown, requests=f"{lost:,.6g}")

    def _around(self, ends_at: int) -> float:
        """Return the largest count of the bin and its neighbours."""
        beside = range(
            ends_at - _HOURS_AROUND * self.step, ends_at + (_HOURS_AROUND + 1) * self.step, self.step
        )
        return max(
            self.evidence.total[at] for at in beside if at in self.evidence.total and at not in self._left_out
        )

    # What is doubtful

    def _say_what_is_doubtful(self, made: CountBins) -> None:
        ended = {at + self.step for at in made.at}
        busy = {at + self.step for at, total in zip(made.at, made.total, strict=True) if total > 0}
        settled = self.evidence.settled
        for finding in (*settled.findings, *self.evidence.findings):
            hours = finding.hours or set(made.at)
            # Bins in which no series counts a number are left out, and a finding of another kind says so.
            if finding.kind == "not_a_number":
                hours = hours & set(made.at)
            if hours or not finding.hours:
                self.findings.append(Finding(finding.kind, hours, finding.detail, finding.subject))
        if settled.unseen and not self.evidence.bad and busy:
            self._note("failures_unseen", busy, query=settled.unseen, condition=settled.condition)
        if busy and all(bad >= total for bad, total in zip(made.bad, made.total, strict=True)):
            query = settled.failures_in_words()
            self._note("every_request_failed", busy, query=query)
        warned = ended & self.evidence.warned
        spoilt = (ended & self.evidence.partial) - warned
        reasons = [
            ("; ".join(one.rstrip(". ") for one in self.warnings) or "the source gave warnings", warned),
            (_NAN_LEFT_OUT, spoilt),
        ]
        if warned or spoilt:
            self._note("partial", warned | spoilt, words="; ".join(text for text, bins in reasons if bins))

    def _note(self, kind: str, ended: set[int], subject: str = "", **detail: str | int | float) -> None:
        self.findings.append(Finding(kind, {at - self.step for at in ended}, dict(detail), subject))
