"""Recognises which server speaks Prometheus' API, and knows where its answers mean something else.

Four servers answer the same questions, and differ in how they make counts:

* **Prometheus** and **Mimir** extrapolate ``increase`` to the edges of the window, and lose the value that a series
  begins with (promql/functions.go). Prometheus 2 counts the sample on the left edge of a window, Prometheus 3 does
  not; a window that is a millisecond wider includes it in both.
* **Mimir** moves the start of a query that is before its retention or its ``max_query_lookback`` to that instant, to
  the millisecond, without a warning. The instants of the answer are then not those that were asked for
  (pkg/frontend/querymiddleware/limits.go).
* **Thanos** evaluates with the same engine. If a store does not answer, the others do, with a warning. If no store can
  be reached, the answer is empty *and has no warning*, unless the query has ``partial_response=false``
  (docs/components/query.md, pkg/store/proxy.go). It has no ``infos``: remarks on the query are among the warnings.
* **VictoriaMetrics** does not extrapolate. The count of a window begins at the sample before it. So windows of exactly
  the step add up without loss, and a wider window counts something twice: one more scrape interval in each bin, or
  the whole hour where there is one sample an hour. A series without an earlier sample counts from zero if its first
  value is small (below ten times its first growth and one), otherwise from that value
  (app/vmselect/promql/rollup.go). The same holds if the last sample is long ago. A cluster whose storage node does not
  answer says ``"isPartial": true`` without a warning. Lists are cut at a limit without a warning, and cover the last
  day unless asked with ``start`` and ``end``. Native histograms are stored as ``…_bucket`` series with the label
  ``vmrange`` instead of ``le`` (docs/victoriametrics/integrations/prometheus.md).

tests/telemetry/recorded has answers of each server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

#: How Prometheus' engine begins its remarks on a query; these do not mean that data are incomplete.
_REMARKS = ("PromQL info:", "PromQL warning:")

#: Texts of servers for a query that is too large: fewer series or hours at a time may pass.
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
#: Texts of servers of which a part does not answer, with any status: the same query may pass a moment later.
OUTAGE_SIGNS = (
    "no storeapis available",  # Thanos, where partial answers were declined: 422
    "rpc error: code = unavailable",
    "rpc error: code = aborted",
    "from vmstorage nodes",  # VictoriaMetrics: 503
    "-search.maxconcurrentrequests",  # VictoriaMetrics, busy with other queries: 429
)


class Dialect(Enum):
    """A kind of server; the value is its name for people."""

    PROMETHEUS = "Prometheus"
    MIMIR = "Mimir"
    THANOS = "Thanos"
    VICTORIAMETRICS = "VictoriaMetrics"
    UNKNOWN = "an unknown server"

    @property
    def facts(self) -> Facts:
        """The facts that are needed to read its answers."""
        return _FACTS.get(self, _LIKE_PROMETHEUS)


@dataclass(frozen=True, slots=True)
class Facts:
    """How a kind of server differs.

    Parameters:
        window_extra_ms: how much wider than the step the window of ``increase`` must be, so that growth on the edges
            of bins is counted, and counted once.
        extrapolates: whether ``increase`` stretches counts to the edges of the window.
        counts_first_value: whether ``increase`` may already count the value that a series begins with, so that it must
            not be added again.
        moves_start: whether an answer may begin later than asked, at an instant that is not one of the steps.
        tells_truncation: whether a list that was cut at ``limit`` says so in ``warnings``.
        max_points: the most points of a series that one range query may have.
        has_native_histograms: whether the server can answer with ``histograms``.
        whole_answer: parameters that ask for an error instead of an incomplete answer.
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
    """Return which server it is.

    Parameters:
        buildinfo: the ``data`` of ``/api/v1/status/buildinfo``; empty where the server does not have it.
        headers: headers of the same answer, in upper or lower case.

    Mimir names itself. VictoriaMetrics claims to be Prometheus 2.24.0 and says nothing else there; its servers send
    ``X-Server-Hostname``, unless a proxy removes it. Thanos answers as Prometheus does, but its version is 0.x, and no
    Prometheus of 0.x has this endpoint.
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
    """Return whether it is Mimir, or Grafana's product that is built on it."""
    return any(name in application.lower() for name in ("mimir", "enterprise metrics"))


def version(dialect: Dialect, buildinfo: Mapping[str, Any]) -> str:
    """Return the server's own version; empty where it does not give it, as with VictoriaMetrics."""
    return "" if dialect is Dialect.VICTORIAMETRICS else str(buildinfo.get("version", ""))


def partial_signs(envelope: Mapping[str, Any]) -> str | None:
    """Return how an answer says, besides its warnings, that it is incomplete; ``None`` where it does not.

    This ignores the dialect: a proxy may hide the server, and no other server writes such a field.
    """
    if envelope.get("isPartial") is True:
        return "The server says isPartial: some of its storage nodes did not answer."
    return None


def without_remarks(warnings: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split warnings into those about data, and remarks on the query, which Prometheus calls ``infos``.

    Thanos, and Prometheus 2.48 to 2.53, have both in one list. Without the split, an ``increase`` of a metric whose
    name does not end in ``_total`` would make every answer look partial.
    """
    given = tuple(warnings)
    remarks = tuple(text for text in given if text.startswith(_REMARKS))
    return tuple(text for text in given if text not in remarks), remarks


def is_over_a_limit(error: str) -> bool:
    """Return whether the error of a refused query means that it asked for too much at once."""
    return _has_sign(error, LIMIT_SIGNS)


def is_an_outage(error: str) -> bool:
    """Return whether the error of a refused query means that a part of the server did not answer."""
    return _has_sign(error, OUTAGE_SIGNS)


def _has_sign(error: str, signs: Iterable[str]) -> bool:
    words = error.lower()
    return any(sign.lower() in words for sign in signs)
