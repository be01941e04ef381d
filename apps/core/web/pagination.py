"""Pages by cursor: each page says where the next begins, so that new rows cause no repeats and no gaps.

A cursor is the sort key of the last row shown, not a row number. It is opaque to clients and checked when it comes
back. It grants nothing, because every page is read with the caller's permissions.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from ninja import Schema
from pydantic import BaseModel, ConfigDict
from pydantic import Field as PydanticField

from apps.core.errors import FieldProblem, NotFound

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_LENGTH = 2048


class PageQuery(BaseModel):
    """The two query parameters of every listing. In a router: ``page: Query[PageQuery]``."""

    model_config = ConfigDict(title="Page")

    limit: Annotated[int, PydanticField(ge=1, le=MAX_LIMIT, description="The most items to return.")] = (
        DEFAULT_LIMIT
    )
    cursor: Annotated[
        str | None,
        PydanticField(max_length=MAX_CURSOR_LENGTH, description="`next_cursor` of the previous page."),
    ] = None


class PageOut[ItemT](Schema):
    """The envelope of every listing. In a router: ``response=PageOut[ServiceOut]``."""

    items: list[ItemT]
    next_cursor: str | None = PydanticField(
        default=None, description="The cursor of the next page; null on the last."
    )


@dataclass(frozen=True, slots=True)
class Page[RowT: Model]:
    """One page of rows; ``next_cursor`` is ``None`` on the last."""

    items: list[RowT]
    next_cursor: str | None


def paginate[RowT: Model](
    rows: QuerySet[RowT], *, order: Sequence[str], cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RowT]:
    """Return the page of ``rows`` that begins after ``cursor``.

    Parameters:
        order: fields or annotations to sort by, as for ``order_by``. Together they must be unique, and none may be
        null. limit: 1 to 200 rows.

    Raises:
        NotFound: the cursor is not one that this listing gave out.
    """
    order = tuple(order)
    limit = max(1, min(limit, MAX_LIMIT))
    if cursor:
        rows = rows.filter(_after(order, _decode(cursor, rows, order)))
    found = list(rows.order_by(*order)[: limit + 1])
    more = len(found) > limit
    items = found[:limit]
    return Page(items, _encode(items[-1], order) if more else None)


def _after(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition that a row sorts after the values: (a > x) or (a = x and b > y) …"""
    condition = Q()
    equal = Q()
    for name, value in zip(order, values, strict=True):
        field = name.removeprefix("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= equal & Q(**{f"{field}__{comparison}": value})
        equal &= Q(**{field: value})
    # Redundant, but an index on the first field can use this bound.
    first = order[0].removeprefix("-")
    return Q(**{f"{first}__{'lte' if order[0].startswith('-') else 'gte'}": values[0]}) & condition


def _encode(row: Model, order: Sequence[str]) -> str:
    values = []
    for name in order:
        value: Any = row
        for part in name.removeprefix("-").split(LOOKUP_SEP):
            value = getattr(value, part)
        values.append(value if isinstance(value, (int, float, str, bool)) else _text(value))
    packed = json.dumps([",".join(order), *values], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _decode(cursor: str, rows: QuerySet[Any], order: Sequence[str]) -> list[Any]:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        asked_for, *values = json.loads(packed.decode())
        if asked_for != ",".join(order) or len(values) != len(order):
            raise ValueError("a cursor of another listing")
        return [
            _value(rows, name.removeprefix("-"), value) for name, value in zip(order, values, strict=True)
        ]
    except (binascii.Error, ValueError, TypeError, RecursionError, OverflowError, ValidationError):
        # Not InvalidInput: the form of a cursor is the listing's own affair.
        raise NotFound(
            "The cursor is not one that this listing gave out. Start again without a cursor.",
            fields=[FieldProblem("cursor", "is not known here")],
        ) from None


def _value(rows: QuerySet[Any], name: str, value: Any) -> Any:
    if value is None or isinstance(value, (list, dict)) or (isinstance(value, str) and "\0" in value):
        raise ValueError("a cursor holds plain values")
    field = _field(rows, name)
    cleaned = field.to_python(value)
    field.run_validators(cleaned)  # the bounds of integers, beyond which the database refuses the query
    return cleaned


def _field(rows: QuerySet[Any], name: str) -> Field[Any, Any]:
    if name in rows.query.annotations:
        return rows.query.annotations[name].output_field
    model: Any = rows.model
    field: Any = None
    for part in name.split(LOOKUP_SEP):
        field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        model = field.related_model
    return field  # type: ignore[no-any-return]
