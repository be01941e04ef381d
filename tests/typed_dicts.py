"""Walks a document against the annotations of its ``TypedDict``: what mypy can only believe of data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    TypeAliasType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

type Bound = Mapping[Any, Any]
"""What stands for each type variable."""


def problems(value: object, annotation: Any, at: str = "$", bound: Bound | None = None) -> Iterator[str]:
    """Say where ``value`` is not what ``annotation`` says: keys missing or unknown, and values of another kind.

    Kinds are exact, as JSON has them: no subclass of a number, no truth for a number, no tuple for a list. A whole
    number may stand for a float, never ``nan`` or infinity.
    """
    annotation = plain(annotation, bound or {})
    origin = get_origin(annotation)
    if is_typeddict(origin or annotation):
        yield from _of_fields(value, annotation, at)
    elif origin in (Union, UnionType):
        found = [list(problems(value, option, at)) for option in get_args(annotation)]
        if all(found):
            yield min(found, key=len)[0] if value is not None else f"{at}: None"
    elif origin is Literal:
        if not any(type(value) is type(one) and value == one for one in get_args(annotation)):
            yield f"{at}: {value!r} is none of {get_args(annotation)}"
    elif origin is list:
        if type(value) is not list:
            yield f"{at}: {value!r} is no list"
            return
        for number, one in enumerate(value):
            yield from problems(one, get_args(annotation)[0], f"{at}[{number}]")
    elif origin is dict:
        if type(value) is not dict:
            yield f"{at}: {value!r} is no dictionary"
            return
        of_keys, of_values = get_args(annotation)
        for key, one in value.items():
            yield from problems(key, of_keys, f"{at}, key {key!r}")
            yield from problems(one, of_values, f"{at}[{key!r}]")
    elif annotation is float:
        if type(value) not in (float, int) or not math.isfinite(value):  # type: ignore[arg-type]  # type() narrows not
            yield f"{at}: {value!r} is no number"
    elif annotation in (str, int, bool, NoneType, datetime):
        if type(value) is not annotation:
            yield f"{at}: {value!r} is no {annotation.__name__}"
    else:
        raise TypeError(f"{at}: nothing is known of {annotation!r}")


def fields(annotation: Any) -> dict[str, tuple[Any, bool]]:
    """Return the annotation of each field of a ``TypedDict``, and whether the field must be there."""
    origin = get_origin(annotation) or annotation
    bound = dict(zip(getattr(origin, "__type_params__", ()), get_args(annotation), strict=False))
    found: dict[str, tuple[Any, bool]] = {}
    for name, hint in get_type_hints(origin, include_extras=True).items():
        is_optional = get_origin(hint) is NotRequired
        inner = get_args(hint)[0] if is_optional else hint
        found[name] = (plain(inner, bound), not is_optional)
    return found


def plain(annotation: Any, bound: Bound) -> Any:
    """Return an annotation with its type variables replaced and its aliases opened."""
    while isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if annotation in bound:
        return bound[annotation]
    arguments = get_args(annotation)
    replaced = tuple(bound.get(one, one) for one in arguments if get_origin(annotation) is not Literal)
    return annotation if not replaced or replaced == arguments else get_origin(annotation)[replaced]


def _of_fields(value: object, annotation: Any, at: str) -> Iterator[str]:
    if type(value) is not dict:
        yield f"{at}: {value!r} is no dictionary"
        return
    known = fields(annotation)
    for name in sorted(value.keys() - known.keys()):
        yield f"{at}: {name!r} is not described"
    for name, (hint, is_required) in known.items():
        if name in value:
            yield from problems(value[name], hint, f"{at}.{name}")
        elif is_required:
            yield f"{at}: {name!r} is missing"
