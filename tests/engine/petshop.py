"""Reads the PetShop data set (Hardt et al. 2023, CC-BY-4.0) into the engine's input."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from apps.engine.types import CountSeries, DependencyInput, Floats, PercentileSeries, ServiceInput

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "petshop"


def petsite(traffic: str) -> tuple[ServiceInput, int]:
    """PetSite with the counts of its direct callees, and the end of the data; skips if the data are missing."""
    folder = DATA / f"{traffic}_traffic"
    if not folder.is_dir():
        pytest.skip("the PetShop data is not beside this repository (../shared/data/petshop)")
    with (folder / "noissue" / "metrics.csv").open() as file:
        rows = list(csv.reader(file))
    column = {key: at for at, key in enumerate(zip(rows[0], rows[1], rows[2], strict=True)) if at}
    data = rows[4:]
    start = int(float(data[0][0]))

    def values(node: str, metric: str, statistic: str) -> Floats:
        at = column[node, metric, statistic]
        return np.array([float(row[at]) if row[at] else np.nan for row in data])

    def counts(node: str) -> CountSeries:
        total = values(node, "requests", "Sum")
        return CountSeries(start, 300, total, total * (1 - values(node, "availability", "Average") / 100))

    with (folder / "graph.csv").open() as file:
        graph = list(csv.reader(file))
    calls = {row[0]: [graph[0][at] for at in range(1, len(row)) if float(row[at] or 0)] for row in graph[1:]}
    dependencies = tuple(
        DependencyInput(node, target=counts(node), depends_on=tuple(calls.get(node, ())))
        for node in calls["PetSite"]
        if (node, "requests", "Sum") in column
    )
    service = ServiceInput(
        "PetSite",
        counts=counts("PetSite"),
        percentiles=PercentileSeries(
            start + 300 * np.arange(len(data), dtype=np.int64),
            1000 * values("PetSite", "latency", "p95"),
            1000 * values("PetSite", "latency", "p99"),
            12,
        ),
        dependencies=dependencies,
    )
    return service, start + 300 * len(data)
