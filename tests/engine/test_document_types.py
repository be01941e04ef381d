"""The document's types say what the engine makes, and what the description of the format says."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, is_typeddict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import document as types
from apps.engine.document import CommunicationMode, Criticality, RecommendationDocument
from apps.engine.evaluation.evaluate import CUT
from apps.engine.recommend import recommend
from apps.engine.simulation import fleet, latency_fleet
from apps.engine.types import (
    DependencyInput,
    GraphFigure,
    PercentileSeries,
    Quality,
    ServiceInput,
)
from tests.engine.build import DAY, HOUR, START, end_of, full_service, steady
from tests.engine.test_latency import buckets
from tests.typed_dicts import fields, problems

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "recommendation-format.md"
GRAPH = GraphFigure(
    limit=0.999,
    standard_error=1e-5,
    is_exact=False,
    services=7,
    is_whole=False,
    shared=("payments-db",),
    shared_nodes=("disk", "dns"),
    shared_count=5,
    excluded=(("checkout", "mailer"),),
    excluded_count=3,
    cycle=("checkout", "payments-db"),
    cycle_rounds=4,
    calls_in_outage=3.5,
    loaded="disk",
)

LEFT_OPEN = {"LatencyPart.bucket_ms[]"}
"""What the format lets be null and the engine does not: it reads no percentile from a bucket without an upper end."""

TABLES: dict[str, Any] = {
    "# The recommendation document": types.RecommendationDocument,
    "## availability": types.AvailabilityPart,
    "Each tier:": types.AvailabilityTier,
    "`backtest`:": types.Backtest[types.AvailabilityWindow],
    "`composite`:": types.CompositePart,
    "Each dependency:": types.DependencyPart,
    "## latency": types.LatencyPart,
    "## data_quality": types.DataQuality,
    "## explanation": types.Explanation,
    "Each counterfactual:": types.CounterfactualPart,
}
"""The type that the first table after each of these lines describes."""


class Row(TypedDict):
    """One row of a table of the format: its field, the words for its type, and the words in code of its meaning."""

    kind: str
    named: set[str]


def rows_after(line: str) -> dict[str, Row]:
    """The rows of the table that follows a line of the format."""
    after = FORMAT.read_text().split(f"{line}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    found: dict[str, Row] = {}
    for row in table[0].splitlines()[2:]:
        names, kind, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`(\w+)`", names):
            found[name] = {"kind": kind, "named": set(re.findall(r"`(\w+)`", meaning))}
    return found


def words_for(annotation: Any) -> str:
    """How the format writes a type."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    known = [one for one in options if one is not NoneType]
    assert len(known) == 1, annotation
    (kind,) = known
    word = {str: "string", int: "integer", float: "number", bool: "boolean"}.get(kind, "")
    if get_origin(kind) is Literal:
        word = "string"
    elif get_origin(kind) is dict or is_typeddict(get_origin(kind) or kind):
        word = "object"
    elif get_origin(kind) is list:
        inner = get_args(kind)[0]
        word = "list"
        if inner is str:
            word = "list of strings"
        elif inner == list[str]:
            word = "list of [string, string]"
        elif inner in (float, float | None):
            word = f"[number, {words_for(inner)}]"
    return f"{word} or null" if len(options) > 1 else word


def literals_of(annotation: Any) -> set[str]:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return {word for one in options if get_origin(one) is Literal for word in get_args(one)}


@pytest.mark.parametrize("line", TABLES)
def test_types_say_what_the_format_says(line: str) -> None:
    described = rows_after(line)
    typed = fields(TABLES[line])
    assert set(described) == set(typed)
    for name, (annotation, _) in typed.items():
        row = described[name]
        words = words_for(annotation)
        # Where a list of names is meant, the meaning says so.
        assert row["kind"] in ("", words, words.replace("list of strings", "list")), name
        if row["kind"]:
            assert literals_of(annotation) <= row["named"], name


def everything() -> tuple[ServiceInput, int]:
    """A service with a dependency of each kind, histograms, doubts and hours left out."""
    service, as_of = full_service()
    edge = service.dependencies[0].edge
    other = (
        DependencyInput("cache-a", redundancy_group="cache", is_external=True, published_sla=0.99),
        DependencyInput("cache-b", redundancy_group="cache", is_external=True, published_sla=0.99),
        DependencyInput("recs", criticality="soft", edge=edge, target=edge, retries=2),
        DependencyInput("loop", cycle=("checkout", "loop"), retries=1, is_external=True, published_sla=0.999),
        DependencyInput("search", target=edge),
        DependencyInput("unknown", retries=3),
    )
    quality = Quality(2, 1, ("The source was slow.",), (("restarts", 0.5),), (("cannot be true", 3),))
    full = replace(
        service,
        dependencies=(*service.dependencies, *other),
        buckets=buckets(60),
        quality=quality,
        graph=GRAPH,
    )
    return full, as_of


def documents() -> Iterator[RecommendationDocument]:
    """One document for each shape that there is."""
    service, as_of = everything()
    yield recommend(service, as_of=as_of)
    yield recommend(replace(service, graph=None), as_of=START + 10 * DAY)
    yield recommend(service, as_of=START + DAY // 2)
    yield recommend(ServiceInput("new"), as_of=START)
    yield recommend(ServiceInput("psp", is_external=True, published_sla=0.999), as_of=START)
    quiet = steady(40, per_hour=0.1)
    yield recommend(ServiceInput("quiet", counts=quiet), as_of=end_of(quiet))
    broken = replace(steady(40), bad=steady(40).total)
    yield recommend(ServiceInput("broken", counts=broken), as_of=end_of(broken))
    hours = np.arange(60.0 * 24)
    bins = PercentileSeries((START + HOUR * hours).astype(np.int64), 80 + hours % 24, 150 + hours % 24, 1)
    yield recommend(ServiceInput("bins", percentiles=bins), as_of=START + 60 * DAY)
    yield recommend(replace(service, buckets=buckets(60, scale=60.0)), as_of=as_of)
    usual = buckets(60)
    above = usual.cumulative.copy()
    above[11 * 24 : 18 * 24, :-1] *= 0.9
    yield recommend(
        ServiceInput("slow-week", buckets=replace(usual, cumulative=above)),
        as_of=START + 60 * DAY,
        window_days=7,
    )


def test_the_engine_makes_what_the_types_say() -> None:
    for document in documents():
        assert list(problems(document, RecommendationDocument)) == []
        assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_no_type_allows_for_what_the_engine_never_makes() -> None:
    """What may be null is so in some document and has a value in some, and what may be missing is always made."""
    seen: dict[str, set[bool]] = defaultdict(set)

    def look(value: Any, annotation: Any, at: str) -> None:
        origin = get_origin(annotation)
        if origin in (Union, UnionType):
            seen[at].add(value is None)
            options = [one for one in get_args(annotation) if one is not NoneType]
            if value is not None:
                look(value, options[0], at)
        elif origin is list:
            for one in value:
                look(one, get_args(annotation)[0], f"{at}[]")
        elif origin is dict:
            for one in value.values():
                look(one, get_args(annotation)[1], f"{at}[]")
        elif is_typeddict(origin or annotation):
            for name, (hint, _) in fields(annotation).items():
                assert name in value, f"{at}.{name}"
                look(value[name], hint, f"{(origin or annotation).__name__}.{name}")

    for document in documents():
        look(document, RecommendationDocument, "")
    assert {at for at, nulls in seen.items() if nulls != {True, False}} == LEFT_OPEN


KINDS = [*fleet.FAMILIES, *fleet.EXTRA]
LATENCY_KINDS = [*latency_fleet.FAMILIES, latency_fleet.MIXED]


@settings(max_examples=25)
@given(
    kind=st.sampled_from(KINDS),
    latency_kind=st.sampled_from(LATENCY_KINDS),
    seed=st.integers(0, 2**31),
    days=st.sampled_from([0.5, 3, 20, 45, 200]),
    criticality=st.sampled_from(get_args(Criticality)),
    mode=st.sampled_from(get_args(CommunicationMode)),
    window_days=st.sampled_from([7, 28, 90]),
    graph=st.sampled_from([None, GRAPH]),
)
def test_whatever_kind_of_service_has_such_a_document(
    kind: str,
    latency_kind: str,
    seed: int,
    days: float,
    criticality: Criticality,
    mode: CommunicationMode,
    window_days: int,
    graph: GraphFigure | None,
) -> None:
    simulated = fleet.simulate_service(np.random.default_rng(seed), kind, "svc")
    slow = latency_fleet.simulate_latency(np.random.default_rng(seed + 1), latency_kind)
    service = replace(
        simulated.service,
        buckets=slow.series,
        graph=graph,
        dependencies=tuple(
            replace(each, criticality=criticality, mode=mode) for each in simulated.service.dependencies
        ),
    )
    as_of = int(min(CUT, service.counts.start + days * DAY)) if service.counts is not None else CUT
    document = recommend(service, as_of=as_of, window_days=window_days)
    assert list(problems(document, RecommendationDocument)) == []


class _Named(TypedDict):
    name: str
    count: int | None
    kind: Literal["a", "b"]
    parts: list[float]
    more: NotRequired[dict[str, bool]]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": 1}, "$.name"),
        ({"count": True}, "$.count"),
        ({"kind": "c"}, "$.kind"),
        ({"parts": (1.0,)}, "$.parts"),
        ({"parts": [float("nan")]}, "$.parts[0]"),
        ({"parts": [np.float64(1.0)]}, "$.parts[0]"),
        ({"more": {"x": 1}}, "$.more['x']"),
        ({"other": 1}, "'other' is not described"),
    ],
)
def test_the_walk_finds_what_is_not_as_typed(change: dict[str, Any], word: str) -> None:
    good: dict[str, Any] = {"name": "x", "count": None, "kind": "a", "parts": [1.0, 2]}
    assert list(problems(good, _Named)) == []
    (found,) = problems(good | change, _Named)
    assert word in found
    del good["name"]
    assert list(problems(good, _Named)) == ["$: 'name' is missing"]
