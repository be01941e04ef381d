"""Which server it is that speaks Prometheus' API, and where its answers mean something else.

Four servers answer the same questions, and differ where counts are made:

* **Prometheus** and **Mimir** extrapolate ``increase`` to the edges of the window, and lose the value that a series
  begins with (promql/functions.go). Prometheus 2 counts the sample on the left edge of a window, Prometheus 3 does
  not; a window that is a millisecond wider holds it in both.
* **Mimir** moves the start of a query that lies before its retention or its ``max_query_lookback`` to that instant,
  to the millisecond, without a word: the instants of the answer are then no longer those that were asked for
  (pkg/frontend/querymiddleware/limits.go).
* **Thanos** evaluates with the same engine. A store that does not answer is a warning, and the rest is answered.
  Where no store can be reached the answer is empty *and no warning tells it*, unless ``partial_response=false`` is
  asked (docs/components/query.md, pkg/store/proxy.go). It has no ``infos``: remarks on the query come among the
  warnings.
* **VictoriaMetrics** does not extrapolate. The count of a window begins at the sample before it, so that windows of
  exactly the step add up without loss, and a wider one counts again what came before the sample on its edge: one
  more scrape interval in each bin, or twice the hour where there is one sample an hour. A series without a sample
  before counts from zero if its first value is small (below ten times its first growth and one), otherwise from
  that value (app/vmselect/promql/rollup.go); so does one whose last sample lies long back. A cluster of which a
  storage node does not answer says ``"isPartial": true`` and gives no warning. Lists are cut at a limit without a
  word, and are of the last day unless asked with ``start`` and ``end``. Native histograms become ``…_bucket``
  series as they come in, whose label is ``vmrange`` and not ``le``
  (docs/victoriametrics/integrations/prometheus.md).

How each of them answers is recorded in tests/telemetry/recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

#: How Prometheus' engine begins what it remarks on a query; it says nothing about whether data are complete.
_REMARKS = ("PromQL info:", "PromQL warning:")

#: What servers write when a query is more than they take: fewer series or hours at a time may pass.
LIMIT_SIGNS = (
    "exceeded maximum resolution",  # points of a series: all but VictoriaMetrics
    "err-mimir-max-",  # Mimir: series, chunks, bytes, memory, hours, length of the query
    # VictoriaMetrics names the flag that holds the limit.
    "-search.maxpointspertimeseries",
    "-search.maxsamplesperquery",
    "-search.maxsamplesperseries",
    "-search.maxmemoryperquery",
    "-search.maxuniquetimeseries",
    "-search.maxresponseseries",
    "-search.maxquerylen",
)
#: What servers write when a part of them does not answer, with whatever status: the same may pass a moment later.
OUTAGE_SIGNS = (
    "no storeapis available",  # Thanos, where partial answers were declined: 422
    "rpc error: code = unavailable",
    "rpc error: code = aborted",
    "from vmstorage nodes",  # VictoriaMetrics: 503
    "-search.maxconcurrentrequests",  # VictoriaMetrics, busy with other queries: 429
)


class Dialect(Enum):
    """A kind of server; the value is its name as a person writes it."""

    PROMETHEUS = "Prometheus"
    MIMIR = "Mimir"
    THANOS = "Thanos"
    VICTORIAMETRICS = "VictoriaMetrics"
    UNKNOWN = "an unknown server"

    @property
    def facts(self) -> Facts:
        """What to know before its answers are read."""
        return _FACTS.get(self, _LIKE_PROMETHEUS)


@dataclass(frozen=True, slots=True)
class Facts:
    """How a kind of server differs.

    Parameters:
        window_extra_ms: how much wider than the step the window of ``increase`` has to be, so that growth on the edges
            of bins is counted, and counted once.
        extrapolates: whether ``increase`` stretches counts to the edges of the window.
        counts_first_value: whether ``increase`` may already count the value that a series begins with, so that nothing
            is to be added for it.
        moves_start: whether an answer may begin later than asked, at an instant off the steps that were asked for.
        tells_truncation: whether a list that was cut at ``limit`` says so in ``warnings``.
        max_points: how many points of a series one range query may have.
        has_native_histograms: whether the server can answer with ``histograms``.
        whole_answer: parameters that ask for an error in the place of an answer that lacks a part.
    """

    window_extra_ms: int = 1
    extrapolates: bool = True
    counts_first_value: bool = False
    moves_start: bool = False
    tells_truncation: bool = True
    max_points: int = 11_000
    has_native_histograms: bool = True
    whole_answer: Mapping[str, str] = field(default_factory=dict)


_LIKE_PROMETHEUS = Facts()
_FACTS = {
    Dialect.MIMIR: Facts(moves_start=True),
    Dialect.THANOS: Facts(whole_answer={"partial_response": "false"}),
    Dialect.VICTORIAMETRICS: Facts(
        window_extra_ms=0,
        extrapolates=False,
        counts_first_value=True,
        tells_truncation=False,
        max_points=30_000,
        has_native_histograms=False,
        whole_answer={"deny_partial_response": "1"},
    ),
}


def recognise(buildinfo: Mapping[str, Any], headers: Mapping[str, str]) -> Dialect:
    """Tell which server it is.

    Parameters:
        buildinfo: the ``data`` of ``/api/v1/status/buildinfo``; empty where the server does not have it.
        headers: of the same answer, in any case.

    Mimir names itself. VictoriaMetrics claims to be a Prometheus 2.24.0 and says nothing else there; its servers send
    ``X-Server-Hostname``, unless a proxy takes it away. Thanos answers as Prometheus does, but is still at 0.x, as no
    Prometheus that has this address ever was.
    """
    if buildinfo.get("application"):
        return Dialect.MIMIR if _is_mimir(str(buildinfo["application"])) else Dialect.UNKNOWN
    if any(name.lower() == "x-server-hostname" for name in headers) or set(buildinfo) == {"version"}:
        return Dialect.VICTORIAMETRICS
    major = str(buildinfo.get("version", "")).removeprefix("v").partition(".")[0]
    if "goVersion" not in buildinfo or not major.isdecimal():
        return Dialect.UNKNOWN
    return Dialect.THANOS if int(major) == 0 else Dialect.PROMETHEUS


def _is_mimir(application: str) -> bool:
    """Whether it is Mimir, or Grafana's product that is built on it."""
    return any(name in application.lower() for name in ("mimir", "enterprise metrics"))


def version(dialect: Dialect, buildinfo: Mapping[str, Any]) -> str:
    """Return the server's own version; empty where it does not tell it, as VictoriaMetrics."""
    return "" if dialect is Dialect.VICTORIAMETRICS else str(buildinfo.get("version", ""))


def partial_signs(envelope: Mapping[str, Any]) -> str | None:
    """Say how an answer tells that it lacks a part, beyond its warnings; ``None`` where it does not.

    Whatever the dialect: a proxy may stand before the server, and no other server writes such a field.
    """
    if envelope.get("isPartial") is True:
        return "The server says isPartial: some of its storage nodes did not answer."
    return None


def without_remarks(warnings: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part warnings into those that speak of data, and remarks on the query, which Prometheus calls ``infos``.

    Thanos, and Prometheus 2.48 to 2.53, have both in one list: an ``increase`` of a metric whose name does not end in
    ``_total`` would make every answer look partial.
    """
    given = tuple(warnings)
    remarks = tuple(text for text in given if text.startswith(_REMARKS))
    return tuple(text for text in given if text not in remarks), remarks


def is_over_a_limit(error: str) -> bool:
    """Whether the words of a refused query mean that it asked for too much at once."""
    return _has_sign(error, LIMIT_SIGNS)


def is_an_outage(error: str) -> bool:
    """Whether the words of a refused query mean that a part of the server did not answer, whatever the status code."""
    return _has_sign(error, OUTAGE_SIGNS)


def _has_sign(error: str, signs: Iterable[str]) -> bool:
    words = error.lower()
    return any(sign.lower() in words for sign in signs)
