"""Drawings that are kept for a while: who looks at a page again gets the same ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from apps.ui.charts.svg import Chart

MOST_DRAWINGS = 100
"""Of each kind, in a process; one with its table takes up to 100 kB."""


def kept[**ArgumentsP](draw: Callable[ArgumentsP, Chart]) -> Callable[ArgumentsP, Chart]:
    """Keep what a drawing function returned, for the next call with equal arguments.

    A drawing follows from its arguments alone, so it cannot grow old. Lists count as what they hold.
    """
    known = lru_cache(maxsize=MOST_DRAWINGS)(draw)

    @wraps(draw)
    def drawn(*args: ArgumentsP.args, **kwargs: ArgumentsP.kwargs) -> Chart:
        return known(*map(_fixed, args), **{name: _fixed(value) for name, value in kwargs.items()})

    return drawn


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
