"""Asks range queries about many services, in parts that neither the server nor Ballast finds too large.

A server gives at most 11,000 points a series. If it says that a question was still too large, the question is asked
again in halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.base import ReadingQuality, ResolvedQuery
from apps.telemetry.clients.errors import BadAnswer, SourceError, TooMuchData
from apps.telemetry.clients.prometheus.http import Answer, PrometheusHttp
from apps.telemetry.clients.prometheus.matrix import Series, series_of
from apps.telemetry.clients.prometheus.personal_data import without_personal_data

#: Servers refuse more than 11,000 points a series, and some count more points than an answer has.
MAX_POINTS_PER_SERIES = 10_000
#: About 5 MB of JSON.
MAX_VALUES_PER_ANSWER = 200_000
MAX_SERVICES_PER_QUERY = 500
#: How many series of an answer a recorded query shows.
SAMPLE_SERIES = 20

type BuildQuery = Callable[[Sequence[str]], str]


@dataclass(slots=True)
class Part:
    """A part of an answer. ``is_partial``: it may lack data; ``is_remarked``: the source remarked on the query."""

    series: list[Series]
    is_partial: bool
    is_remarked: bool = False


@dataclass(slots=True)
class Questions:
    """Asks questions, removes personal data from the answers, and records the queries for people who look.

    Parameters:
        serve_stale: use the last good answer while the source is down.
        record: list to which each query is added; ``None`` records nothing.
    """

    http: PrometheusHttp
    serve_stale: bool = False
    record: list[ResolvedQuery] | None = None

    def ask_range(
        self,
        purpose: str,
        family: str,
        build: BuildQuery,
        services: Sequence[str],
        span: tuple[int, int, int],
        keep: Iterable[str],
        quality: ReadingQuality,
        *,
        per_service: int = 1,
    ) -> Iterator[Part]:
        """Ask a range query about many services in parts; yield the parts in order of service and time."""
        start, end, step = span
        bins = min(max(1, (end - start) // step), MAX_POINTS_PER_SERIES)
        at_once = max(1, min(MAX_SERVICES_PER_QUERY, MAX_VALUES_PER_ANSWER // (bins * per_service)))
        for first in range(0, len(services), at_once):
            batch = services[first : first + at_once]
            for chunk in range(start, end, bins * step):
                chunk_span = (chunk, min(end, chunk + bins * step), step)
                yield from self._halving(purpose, family, build, batch, chunk_span, frozenset(keep), quality)

    def _halving(
        self,
        purpose: str,
        family: str,
        build: BuildQuery,
        services: Sequence[str],
        span: tuple[int, int, int],
        keep: frozenset[str],
        quality: ReadingQuality,
    ) -> Iterator[Part]:
        start, end, step = span
        query = build(services)
        try:
            yield self._one(purpose, family, query, span, keep, quality)
        except TooMuchData:
            bins = (end - start) // step
            if bins > 1:
                middle = start + bins // 2 * step
                halves = [(services, (start, middle, step)), (services, (middle, end, step))]
            elif len(services) > 1:
                half = len(services) // 2
                halves = [(services[:half], span), (services[half:], span)]
            else:
                raise
            for some, part in halves:
                yield from self._halving(purpose, family, build, some, part, keep, quality)

    def _one(
        self,
        purpose: str,
        family: str,
        query: str,
        span: tuple[int, int, int],
        keep: frozenset[str],
        quality: ReadingQuality,
    ) -> Part:
        start, end, step = span
        form: dict[str, str | list[str]] = {
            "query": query,
            "start": str(start + step),
            "end": str(end),
            "step": str(step),
        }
        question = f"{query}\n{end - start}\n{step}" if self.serve_stale else None
        try:
            answer = self.http.ask("query_range", form, stale_question=question)
            series = self.clean(answer, keep, quality)
        except SourceError as error:
            self.tell(purpose, family, query, error=error.detail)
            raise
        series = [_on_the_grid(one, start, step) for one in series]
        self.tell(purpose, family, query, series)
        return Part(series, is_partial=bool(answer.warnings), is_remarked=bool(answer.notes))

    def label_names(self, selector: str, start: int, end: int, quality: ReadingQuality) -> list[str]:
        """Return the names of the labels that a selector's series have within a time; warnings are noted.

        Raises:
            SourceError: the source cannot be read.
        """
        form: dict[str, str | list[str]] = {"match[]": [selector], "start": str(start), "end": str(end)}
        question = f"labels\n{selector}" if self.serve_stale else None
        answer = self.http.ask("labels", form, method="GET", stale_question=question)
        if not isinstance(answer.data, list):
            raise BadAnswer(f"{self.http.url} did not answer with a list of label names.")
        quality.merge(ReadingQuality(warnings=list(answer.warnings), notes=list(answer.notes)))
        return [str(one) for one in answer.data]

    def instant(self, purpose: str, family: str, query: str, at: int) -> list[Series]:
        """Ask for one instant; return the series with all labels, only to build the next question from them.

        Raises:
            SourceError: the source cannot be read.
        """
        question = f"{query}\n{at}" if self.serve_stale else None
        try:
            answer = self.http.ask("query", {"query": query, "time": str(at)}, stale_question=question)
            series = list(series_of(answer.data, self.http.url))
        except SourceError as error:
            self.tell(purpose, family, query, error=error.detail)
            raise
        self.tell(purpose, family, query, [Series({}, one.values) for one in series])
        return series

    def clean(self, answer: Answer, keep: frozenset[str], quality: ReadingQuality) -> list[Series]:
        quality.merge(
            ReadingQuality(
                warnings=list(answer.warnings), notes=list(answer.notes), age_seconds=answer.age_seconds
            )
        )
        if answer.failure:
            quality.merge(ReadingQuality(notes=[answer.failure]))
        return [
            Series(
                without_personal_data(series.labels, keep=keep, dropped=quality.personal_labels),
                series.values,
                series.histograms,
            )
            for series in series_of(answer.data, self.http.url)
        ]

    def tell(
        self, purpose: str, family: str, query: str, series: Sequence[Series] = (), *, error: str = ""
    ) -> None:
        if self.record is None:
            return
        sample = tuple(
            (one.labels, one.newest) for one in series[:SAMPLE_SERIES] if one.values or one.histograms
        )
        points = sum(len(one.values) + len(one.histograms) for one in series)
        self.record.append(ResolvedQuery(purpose, family, query, error, len(series), points, sample))


def _on_the_grid(series: Series, start: int, step: int) -> Series:
    """Return a series without instants that were not asked for; some servers move the start of a query."""
    values = {at: value for at, value in series.values.items() if (at - start) % step == 0}
    histograms = {at: value for at, value in series.histograms.items() if (at - start) % step == 0}
    return Series(series.labels, values, histograms)
