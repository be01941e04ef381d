"""Metric families: the metrics for requests, failures and latencies, and the label that names the service.

They come from the presets that ship with Ballast, from the ``[telemetry]`` table of the configuration file, and from
the database. A later family replaces an earlier one of the same name. docs/telemetry.md describes the table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.core.errors import InvalidInput
from apps.core.text.validation_messages import plain

#: The presets, and the defaults for everything that a TOML file may set.
PRESETS_FILE = Path(__file__).resolve().parents[4] / "fixtures" / "telemetry.toml"

# Prometheus 3 takes any UTF-8, but names in use have no spaces, quotes or braces.
_METRIC = re.compile(r"[^\W\d][\w:./-]*|[:][\w:./-]*")
_LABEL = re.compile(r"[^\W\d][\w./-]*")
_MATCHER = re.compile(r"(?P<label>[^\W\d][\w./-]*)(?P<operator>=~|!~|!=|=)(?P<value>.*)", re.DOTALL)

_LOOKS_AROUND = re.compile(r"\(\?(?:[=!>]|<[=!]|P=)")
_REFERS_BACK = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")
_LITERAL = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)
_POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")
#: Errors of ``re`` for patterns that RE2 rejects too. RE2 accepts some other patterns that Python does not.
_WRONG_EVERYWHERE = ("missing )", "unbalanced parenthesis", "unterminated character set", "nothing to repeat")


def _metric_name(name: str) -> str:
    if not _METRIC.fullmatch(name):
        raise ValueError(f"{name!r} is not a metric name")
    return name


def _label_name(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ValueError(f"{name!r} is not a label name")
    return name


def _matcher(text: str) -> str:
    found = _MATCHER.fullmatch(text)
    if not found or "\0" in text:
        raise ValueError(
            f"{text!r} is not of the form label=value, label!=value, label=~regex or label!~regex"
        )
    if found["operator"] in {"=~", "!~"} and (problem := _no_regex(found["value"])):
        raise ValueError(f"{found['value']!r} is not a regular expression: {problem}")
    return text


def _no_regex(pattern: str) -> str:
    """Return what is wrong with a pattern for RE2. A server would refuse every question with such a pattern."""
    if _LOOKS_AROUND.search(_LITERAL.sub("", pattern)) or _REFERS_BACK.search(pattern):
        return "Prometheus has no look-around and no references to groups; write two matchers, one with !~"
    try:
        re.compile(_POSIX_CLASS.sub("a", pattern))
    except re.error as error:
        return error.msg if error.msg.startswith(_WRONG_EVERYWHERE) else ""
    return ""


MetricName = Annotated[str, AfterValidator(_metric_name)]
LabelName = Annotated[str, AfterValidator(_label_name)]
Matcher = Annotated[str, AfterValidator(_matcher)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Selector(_Strict):
    """A metric, and matchers for the series of it that count. Matchers have no quotes: ``code=~5..``.

    ``native`` says that its samples are native histograms; their observations are counted.
    """

    metric: MetricName
    where: tuple[Matcher, ...] = ()
    native: bool = False

    def parsed(self) -> list[tuple[str, str, str]]:
        """Return the matchers as (label, operator, value)."""
        matches = (_MATCHER.fullmatch(text) for text in self.where)
        return [(match["label"], match["operator"], match["value"]) for match in matches if match]


class BucketSelector(Selector):
    """A classic histogram's ``_bucket`` series, or a native histogram; ``unit`` is the unit of its bounds."""

    unit: Literal["ms", "s"]


class PercentileGauges(_Strict):
    """Gauges with percentiles that the source computed itself."""

    unit: Literal["ms", "s"]
    step_seconds: Annotated[int, Field(ge=1, le=3600)] = 300
    p50: Selector | None = None
    p95: Selector | None = None
    p99: Selector | None = None

    @model_validator(mode="after")
    def _step_divides_an_hour(self) -> Self:
        if 3600 % self.step_seconds:
            raise ValueError("step_seconds must divide 3600")
        return self

    def gauges(self) -> list[tuple[int, Selector]]:
        """Return the configured percentiles: the number and the gauge of each."""
        return [
            (number, gauge) for number, gauge in ((50, self.p50), (95, self.p95), (99, self.p99)) if gauge
        ]


class MetricFamily(_Strict):
    """One way in which services report their requests.

    ``kind`` says what the samples of ``total`` and ``bad`` mean:

    - ``counters``: cumulative counts, read as their increase;
    - ``rates``: requests a second that a recording rule has computed, read as their mean;
    - ``ratios``: the share of failures, 0..1, that a recording rule has computed; there is no ``total``, and every
      sample counts as one request;
    - ``probes``: gauges that are 1 while the service answers a probe and 0 while it does not; there is no ``bad``, and
      every sample counts as one request.

    ``where`` narrows every selector of the family. ``bad`` may have several selectors: those of one metric are a union,
    in which each series counts once; those of several metrics add up. If ``bad`` is empty or cannot match, failures are
    recognised by the labels of ``total`` (:mod:`apps.telemetry.clients.counts.failures`). All ``buckets`` are looked at
    for each service.
    """

    service_label: LabelName
    kind: Literal["counters", "rates", "ratios", "probes"] = "counters"
    where: tuple[Matcher, ...] = ()
    total: Selector | None = None
    bad: tuple[Selector, ...] = ()
    buckets: tuple[BucketSelector, ...] = ()
    percentiles: PercentileGauges | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_counts(self) -> Self:
        if self.kind == "ratios":
            if self.total is not None or len(self.bad) != 1:
                raise ValueError("a family of ratios has one selector in bad and no total")
            return self
        if self.total is None:
            raise ValueError("total is missing: the metric that counts requests")
        if self.kind == "probes" and self.bad:
            raise ValueError("a family of probes has no bad: a probe that fails is a 0 of total")
        same = [one for one in self.bad if _same_series(one, self.total)]
        if same:
            raise ValueError(
                f"bad selects the same series as total ({same[0].metric}), so every request would count as failed; "
                'narrow it to failures: where = ["code=~5.."]'
            )
        return self

    @model_validator(mode="after")
    def _narrows_every_selector(self) -> Self:
        labels = {match["label"] for text in self.where if (match := _MATCHER.fullmatch(text))}
        if self.service_label in labels:
            raise ValueError(f"where must not match {self.service_label}, which names the service")
        return self

    @property
    def counted(self) -> Selector:
        """The selector that shows which services exist, and how many requests each one had."""
        found = self.total or self.bad[0]
        return self.narrowed(found)

    def narrowed(self, selector: Selector) -> Selector:
        """Return a selector with the family's ``where`` added."""
        return (
            selector.model_copy(update={"where": (*self.where, *selector.where)}) if self.where else selector
        )


def _same_series(one: Selector, other: Selector) -> bool:
    return one.metric == other.metric and set(one.where) <= set(other.where)


class ServiceGraph(_Strict):
    """Metrics of calls between services."""

    client_label: LabelName = "client"
    server_label: LabelName = "server"
    total: Selector
    bad: Selector


class TelemetryConfig(_Strict):
    """The ``[telemetry]`` table.

    ``order`` lists the families to try. Each day of a service is read from one family, so that a request that is
    reported twice counts once: from the first that has data, unless a later one counts clearly more.
    """

    order: tuple[str, ...]
    families: dict[str, MetricFamily]
    service_graph: ServiceGraph | None = None
    discover_daily: bool = True
    too_many_requests_fail: bool = False
    """Whether HTTP status 429 counts as a failure where failures are read from a status; other 4xx never do."""
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    read_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    max_answer_mb: Annotated[int, Field(ge=1, le=1024)] = 64

    @model_validator(mode="after")
    def _order_names_families(self) -> Self:
        unknown = [name for name in self.order if name not in self.families]
        if unknown:
            known = ", ".join(sorted(self.families))
            raise ValueError(f"order names {', '.join(unknown)}, but the families are {known}")
        return self

    def ordered(self) -> list[tuple[str, MetricFamily]]:
        """Return the names and families to try, in order."""
        return [(name, self.families[name]) for name in self.order]


def load_config(path: Path | None = None, stored: Mapping[str, object] | None = None) -> TelemetryConfig:
    """Combine the presets, a file over them, and the stored table over both.

    A family replaces one of the same name as a whole, unless it is ``like`` its own name; any other key replaces that
    key. New families of a file without an order are tried first.

    Parameters:
        path: a file with a ``[telemetry]`` table; the file and the table may be missing.
        stored: a table of the same form from the database.

    Raises:
        InvalidInput: the file is not TOML, or a key is unknown or has a wrong value; the message names the key.
    """
    merged = _over({}, _table(PRESETS_FILE))
    if path is not None and path != PRESETS_FILE and path.exists():
        merged = _over(merged, _in_order(_table(path), merged))
    if stored:
        merged = _over(merged, stored)
    try:
        return TelemetryConfig.model_validate(merged)
    except ValidationError as error:
        where = "; ".join(
            f"telemetry.{'.'.join(str(part) for part in problem['loc'])}: {plain(problem, TelemetryConfig)}"
            for problem in error.errors()
        )
        raise InvalidInput(f"{path or PRESETS_FILE} does not describe metric families. {where}") from error


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Return ``below`` overlaid with ``above``, whose families may be ``like`` a family of either."""
    known, own = _mapping(below, "families"), _mapping(above, "families")
    families = {**known, **{name: _resolved(name, own, known) for name in own}}
    return {**below, **above, "families": families}


def _in_order(above: Mapping[str, object], below: Mapping[str, object]) -> dict[str, object]:
    """Return a file's table with an order: its own, or its new families before the order below."""
    order, known = below.get("order"), _mapping(below, "families")
    new = [name for name in _mapping(above, "families") if name not in known]
    if "order" in above or not isinstance(order, list):
        return dict(above)
    return {**above, "order": [*new, *order]}


def _resolved(
    name: str, own: Mapping[str, object], known: Mapping[str, object], through: tuple[str, ...] = ()
) -> object:
    """Return a family with the keys of the one that it is ``like``, which may be the one below of its own name."""
    family = own.get(name)
    if not isinstance(family, Mapping) or "like" not in family:
        return family
    other = str(family["like"])
    if other in own and other != name:
        if other in through:
            raise InvalidInput(f"telemetry.families.{name}.like names {other}, which is like {name} itself.")
        taken = _resolved(other, own, known, (*through, name))
    elif other in known:
        taken = known[other]
    else:
        raise InvalidInput(f"telemetry.families.{name}.like names {other}, but there is no such family.")
    rest = {key: value for key, value in family.items() if key != "like"}
    return {**taken, **rest} if isinstance(taken, Mapping) else taken


def _table(path: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not a TOML file: {error}") from error
    return dict(_mapping(document, "telemetry"))


def _mapping(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key, {})
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{key} must be a table.")
    return value
