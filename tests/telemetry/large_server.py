"""A Prometheus with very many metrics and series that counts what it is asked, and how much that makes it read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.telemetry.prometheus_server import Form, Reply, error, success

_METRIC = re.compile(
    r"(?:count|sum|avg) by \([^)]*\) \((?:increase\(|avg_over_time\()?([\w:]+)|count\(([\w:]+)"
)
_BY = re.compile(r"by \(([^)]*)\)")
_WINDOW = re.compile(r"\[(\d+)s\]")
_TOP = re.compile(r"topk\((\d+)")
_SCRAPE_SECONDS = 15


@dataclass(slots=True)
class LargeServer:
    """Answers for metrics given by how many series each has and by the values of its labels.

    Parameters:
        metrics: series of each metric.
        labels: values of the labels of each metric that has any worth telling.
        refuse: paths or metrics that are answered with this instead.
    """

    metrics: Mapping[str, int]
    labels: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    refuse: Mapping[str, Reply] = field(default_factory=dict)
    knows_metadata: bool = True
    asked: Counter[str] = field(default_factory=Counter)
    samples_read: int = 0
    most_samples_at_once: int = 0
    largest_answer: int = 0

    def __call__(self, path: str, form: Form) -> Reply:
        endpoint = path.removeprefix("/api/v1/")
        self.asked[endpoint] += 1
        for part, reply in self.refuse.items():
            if part in path or any(part in text for texts in form.values() for text in texts):
                return reply
        if endpoint == "label/__name__/values":
            return success(sorted(self.metrics)[: int(form["limit"][0])])
        if endpoint == "metadata":
            return success({}) if self.knows_metadata else error(404, "not_found", "no metadata here")
        if endpoint == "labels":
            assert form["match[]"], "labels of everything were asked for"
            return success(["__name__", *self.labels.get(form["match[]"][0].partition("{")[0], {"job": ()})])
        if endpoint == "query":
            return self._query(form["query"][0])
        return error(404, "not_found", f"{endpoint} is not here")

    def _query(self, query: str) -> Reply:
        found = _METRIC.search(query)
        assert found, f"this question names no metric of its own: {query}"
        metric = found[1] or found[2]
        series = self.metrics.get(metric, 0)
        window = _WINDOW.search(query)
        read = series * (int(window[1]) // _SCRAPE_SECONDS if window else 1)
        self.samples_read += read
        self.most_samples_at_once = max(self.most_samples_at_once, read)
        if query.startswith("count("):
            return success(_vector([({}, series)] if series else []))
        top = _TOP.search(query)
        assert top, f"the answer to this question has no bound: {query}"
        by = [label.strip().strip('"') for label in _BY.search(query)[1].split(",")]  # type: ignore[index]
        rows = self._groups(metric, by)[: int(top[1])]
        self.largest_answer = max(self.largest_answer, len(rows))
        return success(_vector([(labels, 10.0) for labels in rows]))

    def _groups(self, metric: str, by: Sequence[str]) -> list[dict[str, str]]:
        values = self.labels.get(metric, {})
        rows: list[dict[str, str]] = [{}]
        for label in by:
            some = values.get(label, ())
            if some:
                rows = [{**row, label: value} for row in rows for value in some]
        return rows


def _vector(rows: Sequence[tuple[Mapping[str, str], float]]) -> dict[str, object]:
    return {
        "resultType": "vector",
        "result": [{"metric": dict(labels), "value": [0, str(value)]} for labels, value in rows],
    }
