"""The description of the format names every field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from apps.engine.recommend import recommend
from apps.engine.types import BucketSeries, ServiceInput
from tests.engine.build import START, full_service
from tests.engine.test_latency import buckets

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "recommendation-format.md"


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def test_every_field_is_described() -> None:
    service, as_of = full_service()
    series: BucketSeries = buckets(60)
    described = set(re.findall(r"`([^`]+)`", DOCUMENT.read_text()))
    documents = [
        recommend(replace(service, buckets=series), as_of=as_of),
        recommend(ServiceInput("psp", is_external=True, published_sla=0.999), as_of=START),
    ]
    for document in documents:
        assert set(_keys(document)) - described == set()
    features = {
        each["feature"]
        for document in documents
        for each in document["explanation"]["attribution"]
        if not each["feature"].startswith("dependency:")
    }
    assert features - described == set()
