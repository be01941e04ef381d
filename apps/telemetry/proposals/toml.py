"""Writes families as the ``[telemetry]`` table of a configuration file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apps.telemetry.clients.prometheus.families import MetricFamily

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def document(
    families: Mapping[str, MetricFamily],
    order: Sequence[str] = (),
    comments: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return the text of a file for ``BALLAST_CONFIG``.

    Parameters:
        order: names of families in the order in which they are tried; if empty, the built-in order applies.
        comments: lines to write before each family.
    """
    return "\n".join(_lines(families, order, comments or {})) + "\n"


def _lines(
    families: Mapping[str, MetricFamily], order: Sequence[str], comments: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    yield "[telemetry]"
    if order:
        yield f"order = {_value(list(order))}"
    for name, family in families.items():
        yield ""
        yield from (f"# {' '.join(line.split())}" for line in comments.get(name, ()))
        yield f"[telemetry.families.{_key(name)}]"
        given = family.model_dump(mode="json", exclude_defaults=True)
        for key, value in given.items():
            if key in {"bad", "buckets"}:
                yield f"{key} = ["
                yield from (f"    {_value(one)}," for one in value)
                yield "]"
            else:
                yield f"{key} = {_value(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    # A JSON string is a TOML string, except that TOML requires DEL to be escaped.
    return json.dumps(value).replace("\x7f", "\\u007f")
