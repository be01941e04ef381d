"""What a history's requests show, whatever failed: computed once for all pasts on the same history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.running_sums import running_sums, sums_of_stretches
from apps.engine.types import Floats

DAY_HOURS, WEEK_HOURS = 24, 168
LEAST_HOURS_FOR_LOAD = 48


@dataclass(frozen=True, slots=True)
class Load:
    """Logarithms of the hours' requests, centred on their mean weighted by requests: ``centred`` ``(busy hours,)``.

    ``excess`` is the sum of ``centred`` times requests, which is 0 but for rounding; ``information`` that of the
    squares.
    """

    centred: Floats
    excess: float
    information: float

    @classmethod
    def of(cls, requests: Floats) -> Load | None:
        """Read the load of the hours with requests; ``None`` where there are few such hours, or all are alike."""
        if requests.size < LEAST_HOURS_FOR_LOAD:
            return None
        load = np.log(requests / requests.mean())
        centred = load - np.average(load, weights=requests)
        weighed = requests * centred
        information = float((requests * centred**2).sum())
        if information <= 1e-9 * float(requests.sum()):
            return None
        return cls(centred, float(weighed.sum()), information)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of each hour, ``(hours,)``, and sums of them.

    ``running`` has shape ``(hours + 1,)``; ``by_day`` and ``by_week`` have one entry for each whole day and week,
    ending with the newest hour. ``busy`` marks the ``busy_hours`` with requests.
    """

    total: Floats
    all: float
    running: Floats
    by_day: Floats
    by_week: Floats
    busy: NDArray[np.bool_]
    busy_hours: int
    load: Load | None

    @classmethod
    def of(cls, total: Floats) -> Requests:
        """Sum up the requests of each hour."""
        running = running_sums(total)
        busy = total > 0
        busy_hours = int(np.count_nonzero(busy))
        return cls(
            total=total,
            all=float(total.sum()),
            running=running,
            by_day=sums_of_stretches(running, DAY_HOURS),
            by_week=sums_of_stretches(running, WEEK_HOURS),
            busy=busy,
            busy_hours=busy_hours,
            load=Load.of(total if busy_hours == total.size else total[busy]),
        )

    def in_busy_hours(self, values: Floats) -> Floats:
        """Return the columns ``(…, hours)`` of hours with requests, without a copy where these are all."""
        return values if self.busy_hours == self.total.size else values[..., self.busy]
