"""Who reaches a service: for any graph what a plain walk finds, however it was asked before."""

from __future__ import annotations

import struct
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from apps.slos.impact.callers import Callers

SERVICES = st.integers(10, 30)
EDGES = st.lists(st.tuples(SERVICES, SERVICES), max_size=60, unique=True)


def steps_up(edges: list[tuple[int, int]], start: int) -> dict[int, int]:
    """Return by how many calls each service reaches ``start``, itself left out."""
    steps, waiting = {start: 0}, deque([start])
    while waiting:
        at = waiting.popleft()
        for source, target in edges:
            if target == at and source not in steps:
                steps[source] = steps[at] + 1
                waiting.append(source)
    del steps[start]
    return steps


@given(edges=EDGES, asked=st.lists(SERVICES, min_size=1, max_size=8), with_slo=st.sets(SERVICES))
def test_all_that_reach_a_service_are_found_the_nearest_first(
    edges: list[tuple[int, int]], asked: list[int], with_slo: set[int]
) -> None:
    callers = Callers(b"".join(struct.pack(">qq", *edge) for edge in edges))
    names = {place: f"service-{pk}" for pk, place in callers.place.items()}
    bits = sum(1 << place for pk, place in callers.place.items() if pk in with_slo)
    for pk in asked:
        steps = {other: far for other, far in steps_up(edges, pk).items() if other in with_slo}
        place = callers.place.get(pk)
        if place is None:
            assert callers.above(pk) == 0
            continue
        wanted = callers.above(pk) & bits & ~(1 << place)
        assert wanted.bit_count() == len(steps)
        expected = [f"service-{other}" for other in sorted(steps, key=lambda each: (steps[each], each))]
        assert callers.nearest(pk, wanted, 4, names) == expected[:4]


def test_what_is_known_of_one_is_part_of_what_is_asked_of_the_next() -> None:
    chain = [(10, 11), (11, 12), (12, 13), (13, 14)]
    for order in ([11, 12, 13, 14], [14, 13, 12, 11], [13, 14, 11, 12]):
        callers = Callers(b"".join(struct.pack(">qq", *edge) for edge in chain))
        assert [callers.above(pk).bit_count() for pk in order] == [pk - 10 for pk in order]
