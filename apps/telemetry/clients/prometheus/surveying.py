"""Looks around on a Prometheus without being a burden: few questions, small ones, and none where it answers badly.

What is never asked: all series, all labels of all metrics, or a metric's series before it is known how many there are.
A survey has a budget of questions and of seconds. A server that says it is overloaded (429, 503) is left alone at once;
what was found until then counts, and the survey says what it did not look at.
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
#: Samples that one question may make the server read, about; a scrape every 15 s is assumed.
_SAMPLES_PER_QUESTION = 2_000_000
_SAMPLES_PER_SECOND = 1 / 15
#: So many answers in a row that do not come in time are a sign to leave a server alone.
_SLOW_ANSWERS = 3
#: Metrics without a sample now of which it is asked when they had one; and how far the instants are apart.
_LOOKS_BACK = 3
_LOOK_BACK_STEP = 120
#: From the longest to the shortest: what is counted over.
WINDOWS = (DAY, HOUR, 300)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a survey may ask.

    Parameters:
        seconds: for everything.
        questions: requests to the server, at most.
        question_seconds: for one; the server is told, and gives up itself.
        names: metric names that are taken.
        series: the most series a metric may have to be looked at by its labels.
        groups: the most groups that one answer may have.
    """

    seconds: float = 90.0
    questions: int = 240
    question_seconds: float = 10.0
    names: int = 30_000
    series: int = 100_000
    groups: int = 2_000


@dataclass(frozen=True, slots=True)
class Described:
    """What a server knows of a metric beside its name."""

    kind: str = ""
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Series of a metric that agree in some labels: the labels, and how many series or requests there are."""

    labels: Mapping[str, str]
    value: float


class Enough(Exception):
    """The budget is spent, or the server asks to be left alone; the text says which."""


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
    """What was not answered, and why."""
    _deadline: Deadline = field(init=False)
    _slow: int = 0
    _looks_back: int = _LOOKS_BACK

    def __post_init__(self) -> None:
        self._deadline = Deadline(self.limits.seconds, self.clock)

    @property
    def seconds(self) -> float:
        """How long the survey has taken so far."""
        return self.limits.seconds - self._deadline.remaining()

    def names(self) -> tuple[list[str], bool]:
        """The names of the metrics of the last hour, and whether there may be more.

        Raises:
            SourceError: the server does not even answer this.
        """
        limit = self.limits.names
        # Servers that know no limit ignore it; the answer is bounded by its size then.
        form = {**self._last_hour(), "limit": str(limit)}
        data = self._ask("label/__name__/values", form, method="GET")
        found = sorted({str(name) for name in data}) if isinstance(data, list) else []
        return found[:limit], len(found) >= limit

    def build(self) -> tuple[Dialect, str]:
        """Which server this is and its version, as far as it says so."""
        try:
            answer = self._answer("status/buildinfo", {}, method="GET")
        except (SourceError, Enough):
            return Dialect.UNKNOWN, ""
        stated = answer.data if isinstance(answer.data, Mapping) else {}
        dialect = recognise(stated, answer.headers)
        return dialect, version(dialect, stated)[:60]

    def described(self) -> dict[str, Described]:
        """What is known of each metric; empty where the server does not tell."""
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
        """How many series a metric has now; ``None`` where that is not known.

        Where the newest samples are some minutes old (a scrape that has stopped, a recording), the survey goes on as if
        it were then.
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
        """The newest instant of the last hour at which a query has a value."""
        form = {"query": query, "step": str(_LOOK_BACK_STEP), **self._last_hour()}
        series = self._series("query_range", form, about)
        return max((at for one in series or () for at in one.values), default=None)

    def labels_of(self, selector: Selector) -> list[str] | None:
        """The names of a metric's labels, which an index tells without reading a series."""
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
        """How many series there are of each combination of some labels, the most numerous ones.

        Parameters:
            services: those of the labels that may name services; of the others, personal data is dropped.
        """
        by = ", ".join(promql.name(label) for label in labels)
        query = f"topk({self.limits.groups}, count by ({by}) ({promql.vector(selector)}))"
        return self._vector(query, selector.metric, keep=services)

    def window_for(self, series: int) -> int:
        """The longest window whose samples of so many series are no burden, in seconds."""
        allowed = _SAMPLES_PER_QUESTION / max(1, series) / _SAMPLES_PER_SECOND
        return next((window for window in WINDOWS if window <= allowed), WINDOWS[-1])

    def requests_of(
        self, selector: Selector, labels: Sequence[str], window: int, *, kind: str
    ) -> list[Group] | None:
        """What was counted in a window by labels: requests of counters, means of anything else."""
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
        """The bounds of a classic histogram, looked up for the series that a matcher chooses."""
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
        """The series of an answer; where there is none, what it was about is not looked at."""
        try:
            return list(matrix.series_of(self._ask(path, form), self.http.url))
        except (SourceRefused, SourceTimeout, BadAnswer) as error:
            self.not_looked_at[about] = error.detail
            return None

    def _ask(self, path: str, form: Mapping[str, str | list[str]], *, method: str = "POST") -> Any:
        return self._answer(path, form, method=method).data

    def _answer(self, path: str, form: Mapping[str, str | list[str]], *, method: str = "POST") -> Answer:
        if self.asked >= self.limits.questions:
            raise Enough(f"{self.limits.questions} questions are asked, which is the limit.")
        left = self._deadline.remaining()
        if left <= 0.0:
            raise Enough(f"{self.limits.seconds:g} s are over, which is the limit.")
        self.asked += 1
        try:
            answer = self.http.ask(path, form, method=method)
            self._slow = 0
            return answer
        except SourceTimeout as error:
            self._slow += 1
            if self._slow >= _SLOW_ANSWERS:
                raise Enough(f"The server is too slow to be asked more: {error.detail}") from error
            raise
        except SourceUnavailable as error:
            if self.asked == 1:
                raise
            raise Enough(f"The server asks to be left alone, or is gone: {error.detail}") from error
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
