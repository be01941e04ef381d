"""A cache of drawings, for pages that are viewed again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from apps.ui.charts.svg import Chart

MOST_DRAWINGS = 100
"""The most drawings of each kind in a process. One with its table takes up to 100 kB."""


def kept[**ArgumentsP](draw: Callable[ArgumentsP, Chart]) -> Callable[ArgumentsP, Chart]:
    """Keep a drawing function's results for calls with equal arguments.

    A drawing depends only on its arguments, so it cannot become outdated. Lists are compared by their contents.
    """
    known = lru_cache(maxsize=MOST_DRAWINGS)(draw)

    @wraps(draw)
    def drawn(*args: ArgumentsP.args, **kwargs: ArgumentsP.kwargs) -> Chart:
        return known(*map(_fixed, args), **{name: _fixed(value) for name, value in kwargs.items()})

    return drawn


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
