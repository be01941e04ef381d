"""Looks at what a Prometheus has with few and small questions, and stops when the server answers badly.

A survey never asks for all series, for all labels of all metrics, or for a metric's series before their number is
known. It has a budget of questions and of seconds. It leaves a server that says that it is overloaded (429, 503) alone
at once, keeps what it has found, and says what it did not look at.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.core.resilience import Clock, Deadline
from apps.telemetry.clients.errors import (
    BadAnswer,
    SourceError,
    SourceRefused,
    SourceTimeout,
    SourceUnavailable,
)
from apps.telemetry.clients.prometheus import matrix, promql
from apps.telemetry.clients.prometheus.dialects import Dialect, recognise, version
from apps.telemetry.clients.prometheus.families import Selector
from apps.telemetry.clients.prometheus.http import Answer, PrometheusHttp
from apps.telemetry.clients.prometheus.personal_data import without_personal_data

HOUR = 3600
DAY = 86_400
#: About how many samples one question may make the server read, if it scrapes every 15 s.
_SAMPLES_PER_QUESTION = 2_000_000
_SAMPLES_PER_SECOND = 1 / 15
#: After so many late answers in a row the survey stops.
_SLOW_ANSWERS = 3
#: How many metrics without a current sample are asked for their newest one, and the seconds between the instants.
_LOOKS_BACK = 3
_LOOK_BACK_STEP = 120
#: Windows that requests are counted over, in seconds, the longest first.
WINDOWS = (DAY, HOUR, 300)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a survey may ask.

    Parameters:
        seconds: the longest time for the whole survey.
        questions: the most requests to the server.
        question_seconds: the longest time for one question; the server gets this limit with the question.
        names: the most metric names to read.
        series: the most series that a metric may have for its labels to be looked at.
        groups: the most groups in one answer.
    """

    seconds: float = 90.0
    questions: int = 240
    question_seconds: float = 10.0
    names: int = 30_000
    series: int = 100_000
    groups: int = 2_000


@dataclass(frozen=True, slots=True)
class Described:
    """What a server knows about a metric besides its name."""

    kind: str = ""
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Series of a metric with the same values of some labels; ``value`` is the number of series or requests."""

    labels: Mapping[str, str]
    value: float


class Enough(Exception):
    """The budget is spent, or the server must be left alone; the text says why."""


@dataclass(slots=True)
class Surveyor:
    """Asks within limits.

    Parameters:
        now: Unix seconds at which the server is looked at.
    """

    http: PrometheusHttp
    limits: Limits = field(default_factory=Limits)
    now: float = field(default_factory=time.time)
    clock: Clock = time.monotonic
    asked: int = 0
    not_looked_at: dict[str, str] = field(default_factory=dict)
    """What was not answered, with the reason."""
    _deadline: Deadline = field(init=False)
    _slow: int = 0
    _looks_back: int = _LOOKS_BACK

    def __post_init__(self) -> None:
        self._deadline = Deadline(self.limits.seconds, self.clock)

    @property
    def seconds(self) -> float:
        """Seconds that the survey has taken so far."""
        return self.limits.seconds - self._deadline.remaining()

    def names(self) -> tuple[list[str], bool]:
        """Return the names of the metrics of the last hour, and whether there may be more.

        Raises:
            SourceError: the server does not answer.
        """
        limit = self.limits.names
        # Servers without such a limit ignore it; then only the answer's size is bounded.
        form = {**self._last_hour(), "limit": str(limit)}
        data = self._ask("label/__name__/values", form, method="GET")
        found = sorted({str(name) for name in data}) if isinstance(data, list) else []
        return found[:limit], len(found) >= limit

    def build(self) -> tuple[Dialect, str]:
        """Return which server this is and its version; empty where it does not say so."""
        try:
            answer = self._answer("status/buildinfo", {}, method="GET")
        except (SourceError, Enough):
            return Dialect.UNKNOWN, ""
        stated = answer.data if isinstance(answer.data, Mapping) else {}
        dialect = recognise(stated, answer.headers)
        return dialect, version(dialect, stated)[:60]

    def described(self) -> dict[str, Described]:
        """Return what the server knows about each metric; empty where it does not answer that."""
        form = {"limit": str(self.limits.names), "limit_per_metric": "1"}
        try:
            data = self._ask("metadata", form, method="GET")
        except (SourceRefused, SourceTimeout) as error:
            self.not_looked_at["types and units of metrics"] = error.detail
            return {}
        if not isinstance(data, Mapping):
            return {}
        return {
            str(name): Described(
                str(one.get("type", "")), str(one.get("help", ""))[:300], str(one.get("unit", ""))
            )
            for name, stated in data.items()
            for one in (stated[:1] if isinstance(stated, list) else ())
            if isinstance(one, Mapping)
        }

    def series_of(self, selector: Selector) -> int | None:
        """Return how many series a metric has now; ``None`` where that is not known.

        If the newest samples are some minutes old (a stopped scrape, a recording), the survey continues at their time.
        """
        query = f"count({promql.vector(selector)})"
        groups = self._vector(query, selector.metric)
        if groups == [] and self._looks_back:
            self._looks_back -= 1
            newest = self._newest(query, selector.metric)
            if newest is not None:
                self.now, self._looks_back = newest, 0
                groups = self._vector(query, selector.metric)
        if groups is None:
            return None
        count = sum(group.value for group in groups)
        return round(count) if math.isfinite(count) else None

    def _newest(self, query: str, about: str) -> int | None:
        """Return the newest instant of the last hour at which a query has a value, in Unix seconds."""
        form = {"query": query, "step": str(_LOOK_BACK_STEP), **self._last_hour()}
        series = self._series("query_range", form, about)
        return max((at for one in series or () for at in one.values), default=None)

    def labels_of(self, selector: Selector) -> list[str] | None:
        """Return the names of a metric's labels. The server finds them in an index, without reading series."""
        form: dict[str, str | list[str]] = {
            **self._last_hour(),
            "match[]": [promql.vector(selector)],
            "limit": "200",
        }
        try:
            data = self._ask("labels", form, method="GET")
        except (SourceRefused, SourceTimeout) as error:
            self.not_looked_at[selector.metric] = error.detail
            return None
        return [str(name) for name in data if name != "__name__"] if isinstance(data, list) else None

    def groups_of(
        self, selector: Selector, labels: Sequence[str], *, services: Sequence[str]
    ) -> list[Group] | None:
        """Return the most frequent combinations of some labels, each with its number of series.

        Parameters:
            services: labels that may name services; values of other labels are dropped if they are personal data.
        """
        by = ", ".join(promql.name(label) for label in labels)
        query = f"topk({self.limits.groups}, count by ({by}) ({promql.vector(selector)}))"
        return self._vector(query, selector.metric, keep=services)

    def window_for(self, series: int) -> int:
        """Return the longest window, in seconds, in which so many series have few enough samples to read."""
        allowed = _SAMPLES_PER_QUESTION / max(1, series) / _SAMPLES_PER_SECOND
        return next((window for window in WINDOWS if window <= allowed), WINDOWS[-1])

    def requests_of(
        self, selector: Selector, labels: Sequence[str], window: int, *, kind: str
    ) -> list[Group] | None:
        """Return counts in a window by labels: requests for counters, means for anything else."""
        by = ", ".join(promql.name(label) for label in labels)
        vector = promql.vector(selector)
        if kind != "counters":
            inner = f"avg_over_time({vector}[{window}s])"
        elif selector.native:
            inner = f"histogram_count(increase({vector}[{window}s]))"
        else:
            inner = f"increase({vector}[{window}s])"
        combined = "sum" if kind in {"counters", "rates"} else "avg"
        query = f"topk({self.limits.groups}, {combined} by ({by}) ({inner}))"
        return self._vector(query, selector.metric, keep=labels)

    def bounds_of(self, selector: Selector, only: str) -> list[float] | None:
        """Return the bounds of a classic histogram, from the series that a matcher chooses."""
        query = f"topk(500, count by (le) ({promql.vector(selector, only)}))"
        groups = self._vector(query, selector.metric, keep=("le",))
        if groups is None:
            return None
        return sorted(
            bound for group in groups if math.isfinite(bound := _number(group.labels.get("le", "")))
        )

    def _last_hour(self) -> dict[str, str]:
        return {"start": str(int(self.now) - HOUR), "end": str(int(self.now))}

    def _vector(self, query: str, about: str, *, keep: Iterable[str] = ()) -> list[Group] | None:
        form = {"query": query, "time": str(int(self.now)), "timeout": f"{self.limits.question_seconds:g}s"}
        series = self._series("query", form, about)
        if series is None:
            return None
        kept = frozenset(keep)
        dropped: Counter[str] = Counter()
        return [
            Group(without_personal_data(one.labels, keep=kept, dropped=dropped), value)
            for one in series
            for value in one.values.values()
        ]

    def _series(
        self, path: str, form: Mapping[str, str | list[str]], about: str
    ) -> list[matrix.Series] | None:
        """Return the series of an answer; without an answer, note that its subject was not looked at."""
        try:
            return list(matrix.series_of(self._ask(path, form), self.http.url))
        except (SourceRefused, SourceTimeout, BadAnswer) as error:
            self.not_looked_at[about] = error.detail
            return None

    def _ask(self, path: str, form: Mapping[str, str | list[str]], *, method: str = "POST") -> Any:
        return self._answer(path, form, method=method).data

    def _answer(self, path: str, form: Mapping[str, str | list[str]], *, method: str = "POST") -> Answer:
        if self.asked >= self.limits.questions:
            raise Enough(f"The limit of {self.limits.questions} questions is reached.")
        left = self._deadline.remaining()
        if left <= 0.0:
            raise Enough(f"The limit of {self.limits.seconds:g} s is reached.")
        self.asked += 1
        try:
            answer = self.http.ask(path, form, method=method)
            self._slow = 0
            return answer
        except SourceTimeout as error:
            self._slow += 1
            if self._slow >= _SLOW_ANSWERS:
                raise Enough(f"The server is too slow for more questions: {error.detail}") from error
            raise
        except SourceUnavailable as error:
            if self.asked == 1:
                raise
            raise Enough(f"The server asks to be left alone, or does not answer: {error.detail}") from error
        except SourceError as error:
            if self.asked == 1:
                raise
            if isinstance(error, SourceRefused):
                raise
            raise SourceRefused(error.detail, http_status=error.http_status) from error


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan
