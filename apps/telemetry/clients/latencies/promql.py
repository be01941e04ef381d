"""Writes PromQL for latencies: histograms in their classic and their native form, and percentile gauges.

How requests are counted in a bin is told in :mod:`apps.telemetry.clients.prometheus.promql`.

Where one metric is scraped in both forms, a request is in both. Each series is then taken in one form: in the native
one, unless that counts less of its requests than the classic one, as in the hour in which it was switched on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.telemetry.clients.prometheus.families import (
    BucketSelector,
    MetricFamily,
    PercentileGauges,
    Selector,
)
from apps.telemetry.clients.prometheus.promql import (
    counter_window,
    gauge_window,
    name,
    one_of,
    quoted,
    regex_literal,
    vector,
)

#: The label under which series with the same bounds are told apart.
LAYOUT_LABEL = "ballast_layout"
#: How the bound that all requests are within is spelled.
INFINITE = "[+]?[Ii]nf"
#: A native form that counts at least this share of the classic one is whole.
_WHOLE_SHARE = 0.98


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram metric as a family reads it: in its classic form, its native form, or both.

    Parameters:
        label: names the service.
        unit: of the bounds, ``s`` or ``ms``.
        extra_ms: how much wider than the bin the window is.
    """

    label: str
    unit: str
    classic: Selector | None = None
    native: Selector | None = None
    extra_ms: int = 1

    @property
    def metric(self) -> str:
        """What the metric is called, in the form that is preferred."""
        found = self.native or self.classic
        return found.metric if found else ""

    def classic_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Cumulative counts per service and bound in each bin."""
        return f"sum by ({name(self.label)}, le) ({self._classic(services, step_seconds)})"

    def series_query(self, services: Sequence[str], step_seconds: int) -> str:
        """How many series count per service and bound in each bin."""
        return f"count by ({name(self.label)}, le) ({self._classic(services, step_seconds)})"

    def layouts_query(
        self, services: Sequence[str], step_seconds: int, uneven: Sequence[Sequence[str]]
    ) -> str:
        """Cumulative counts per service and bound in each bin, apart for series with different bounds.

        Series that count NaN or a negative number are left out.

        Parameters:
            uneven: the bounds that not all series have, each in all its spellings. Which of them a series has is
                written as a binary number, the last digit of which stands for the infinite bound, into
                :data:`LAYOUT_LABEL`.
        """
        patterns = [INFINITE, *("|".join(regex_literal(text) for text in texts) for texts in uneven)]
        digits = " or ".join(
            # Each digit stands under a bound of its own, lest one take the place of another.
            f"label_replace(group without (le) ({self._finite(services, step_seconds, pattern)}) * {2**digit}, "
            f'"le", "{digit}", "", "")'
            for digit, pattern in enumerate(patterns)
        )
        label = name(self.label)
        return (
            f"sum by ({label}, le, {LAYOUT_LABEL}) ("
            f"({self._classic(services, step_seconds)} >= 0)"
            f" * ignoring (le, {LAYOUT_LABEL}) group_left ({LAYOUT_LABEL})"
            f' count_values without () ("{LAYOUT_LABEL}", sum without (le) ({digits})))'
        )

    def native_query(self, services: Sequence[str], step_seconds: int) -> str:
        """A native histogram per service in each bin."""
        return f"sum by ({name(self.label)}) ({self.native_series_query(services, step_seconds)})"

    def native_series_query(self, services: Sequence[str], step_seconds: int) -> str:
        """A native histogram per series in each bin."""
        native = self._increase(self.native, services, step_seconds)
        if self.classic is None:
            return native
        ended = self._ended(services, step_seconds)
        return f"{native} unless ({ended} unless {self._native_is_whole(services, step_seconds)})"

    def native_total_query(self, services: Sequence[str], step_seconds: int) -> str:
        """How many observations the native histograms of a service hold in each bin."""
        series = self.native_series_query(services, step_seconds)
        return f"sum by ({name(self.label)}) (histogram_count({series}))"

    def total_query(self, services: Sequence[str], step_seconds: int) -> str:
        """How many requests the histograms of a service hold in each bin."""
        parts: list[str] = []
        if self.native is not None:
            parts.append(f"histogram_count({self._increase(self.native, services, step_seconds)})")
        if self.classic is not None:
            parts.append(self._ended(services, step_seconds))
        # Of one series in both forms the native one is taken: for a comparison that is near enough.
        return f"sum by ({name(self.label)}) ({' or '.join(parts)})"

    def _increase(
        self, selector: Selector | None, services: Sequence[str], step_seconds: int, *extra: str
    ) -> str:
        assert selector is not None
        window = counter_window(step_seconds, self.extra_ms)
        return f"increase({vector(selector, one_of(self.label, services), *extra)}{window})"

    def _classic(self, services: Sequence[str], step_seconds: int, *extra: str) -> str:
        classic = self._increase(self.classic, services, step_seconds, *extra)
        if self.native is None:
            return classic
        return f"({classic} unless ignoring (le) {self._native_is_whole(services, step_seconds)})"

    def _finite(self, services: Sequence[str], step_seconds: int, pattern: str) -> str:
        return f"{self._classic(services, step_seconds, f'le=~{quoted(pattern)}')} >= 0"

    def _ended(self, services: Sequence[str], step_seconds: int) -> str:
        infinite = self._increase(self.classic, services, step_seconds, f"le=~{quoted(INFINITE)}")
        return f"max without (le) ({infinite})"

    def _native_is_whole(self, services: Sequence[str], step_seconds: int) -> str:
        native = self._increase(self.native, services, step_seconds)
        return f"(histogram_count({native}) >= {_WHOLE_SHARE} * {self._ended(services, step_seconds)})"


def histograms_of(family: MetricFamily, present: frozenset[str], extra_ms: int = 1) -> list[Histogram]:
    """The histogram metrics of a family that a source has, in the family's order; both forms of one stand together."""
    found: list[Histogram] = []
    chosen = [buckets for buckets in family.buckets if buckets.metric in present]
    natives = {(each.metric, each.unit): each for each in chosen if each.native}
    classics = {(_base(each), each.unit): each for each in chosen if not each.native}
    for buckets in chosen:
        key = (_base(buckets), buckets.unit)
        classic, native = classics.get(key), natives.get(key)
        histogram = Histogram(
            family.service_label,
            buckets.unit,
            family.narrowed(classic) if classic else None,
            family.narrowed(native) if native else None,
            extra_ms,
        )
        if histogram not in found:
            found.append(histogram)
    return found


def percentile_query(
    family: MetricFamily, gauges: PercentileGauges, gauge: Selector, services: Sequence[str]
) -> str:
    """A percentile per service in each fine bin."""
    label = family.service_label
    window = gauge_window(gauges.step_seconds)
    selector = vector(family.narrowed(gauge), one_of(label, services))
    return f"max by ({name(label)}) (last_over_time({selector}{window}))"


def _base(buckets: BucketSelector) -> str:
    return buckets.metric if buckets.native else buckets.metric.removesuffix("_bucket")
