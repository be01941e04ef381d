"""What JSON can hold, for content that no part of Ballast gives a closer shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

type Json = str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None
type JsonObject = Mapping[str, Json]
