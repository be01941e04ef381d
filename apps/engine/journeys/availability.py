"""What a user journey over several services achieves: its availability, the doubt about it, and its weakest link.

A journey is a mixture of paths; each path needs every service on it. It fails where any service that it uses fails, by
itself or through something that it depends on. A node that several services share is one node, so its failures count
once and fail all of them together (:mod:`apps.engine.graph.reach`). The point uses today's unavailabilities. The doubt
is that of the next window: every node draws its unavailability in that window from its prediction
(:mod:`apps.engine.journeys.predicted`), the same for all who use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.document import TierName
from apps.engine.graph.edge_table import EdgeTable
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from apps.engine.graph.reach import Reach, Reached, batch_mean
from apps.engine.graph.redundancy import PERSISTENT_SHARE
from apps.engine.journeys.predicted import Predicted
from apps.engine.seeding import generator_for
from apps.engine.types import TIER_BREACH_PROBABILITY, Floats

WINDOWS = 2_000
MAX_CELLS = 40_000_000
"""Nodes times windows, and samples times windows: a large graph gets fewer windows."""
NINE = 0.9
"""One more nine removes this share of the failures."""
_ROOT = "\0path\0"
_REPEATS = "\0repeats\0"


@dataclass(frozen=True, slots=True)
class Step:
    """``calls`` of a service for each journey on this path; below 1, the share of journeys that use it at all."""

    service_id: str
    calls: float = 1.0


@dataclass(frozen=True, slots=True)
class Path:
    """One path of the journey; ``weight`` is its share, relative to the other paths' weights."""

    name: str
    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class JourneyFleet:
    """The graph below a journey. ``whole`` is each node's observed unavailability with all it depends on."""

    graph: FleetGraph
    whole: Mapping[str, float]
    predicted: Mapping[str, Predicted]


@dataclass(frozen=True, slots=True)
class Link:
    """A service and what it costs the journey.

    ``share`` is its part of the journey's failures; ``gain`` is what one more nine of its own reliability would add to
    the journey's availability.
    """

    service_id: str
    own: float
    share: float
    gain: float
    is_member: bool


@dataclass(frozen=True, slots=True)
class PathResult:
    """Availability of one path; ``share`` of the journeys take it."""

    name: str
    share: float
    availability: float


@dataclass(frozen=True, slots=True)
class JourneyResult:
    """``availability`` has a sampling standard error; ``interval`` holds nine windows in ten.

    ``tiers`` are the targets missed with each tier's chance; ``tier_errors`` is how far sampling windows may be off
    there (one standard error). ``chance_missed`` is the chance that the next window misses the journey's own target.
    ``naive`` is the product of the members' availabilities, in which shared nodes count several times.
    """

    availability: float
    standard_error: float
    interval: tuple[float, float]
    tiers: Mapping[TierName, float]
    tier_errors: Mapping[TierName, float]
    chance_missed: float | None
    chance_error: float | None
    naive: float
    paths: tuple[PathResult, ...]
    links: tuple[Link, ...]
    samples: int
    windows: int
    fixed: tuple[str, ...]
    """Nodes without a prediction: they keep their unavailability in every window."""


def evaluate(
    paths: Sequence[Path], fleet: JourneyFleet, *, target: float | None = None, seed: int = 0
) -> JourneyResult:
    """Evaluate a journey. The order of paths only changes the order of the result.

    Raises ``ValueError`` without paths, for a path without steps, a weight that is not above 0, or a service that is
    not in the graph.
    """
    shares = _shares(paths)
    graph, repeats = _with_paths(paths, fleet)
    reach = Reach(
        graph, {**fleet.whole, **dict.fromkeys(graph.own.keys() - fleet.whole.keys(), 0.0)}, seed=seed
    )
    reached = [reach.reached(f"{_ROOT}{at}") for at in range(len(paths))]
    now = [part.survival([reach.point(name) for name in part.names])[:, 0] for part in reached]
    down = np.sum([share * (1 - up) for share, up in zip(shares, now, strict=True)], axis=0)
    failing, error = batch_mean(down)
    windows = _windows(shares, reached, reach, fleet, repeats, seed)
    tiers, tier_errors = _tiers(windows)
    missed = None if target is None else float(np.mean(windows > 1 - target))
    members = {step.service_id for path in paths for step in path.steps}
    return JourneyResult(
        availability=1 - failing,
        standard_error=error,
        interval=(float(1 - np.quantile(windows, 0.95)), float(1 - np.quantile(windows, 0.05))),
        tiers=tiers,
        tier_errors=tier_errors,
        chance_missed=missed,
        chance_error=None if missed is None else math.sqrt(missed * (1 - missed) / windows.size),
        naive=_naive(paths, shares, fleet),
        paths=tuple(
            PathResult(path.name, share, float(up.mean()))
            for path, share, up in zip(paths, shares, now, strict=True)
        ),
        links=_links(shares, reached, now, reach, members, failing),
        samples=reach.samples,
        windows=windows.size,
        fixed=tuple(
            sorted(
                name
                for name in {name for part in reached for name in part.names}
                if name in fleet.graph.own and name not in fleet.predicted
            )
        ),
    )


def _shares(paths: Sequence[Path]) -> list[float]:
    if not paths or any(path.weight <= 0 for path in paths):
        raise ValueError("a journey needs paths, each with a weight above 0")
    if any(not path.steps for path in paths):
        raise ValueError("a path needs a service")
    total = math.fsum(path.weight for path in paths)
    return [path.weight / total for path in paths]


def _with_paths(
    paths: Sequence[Path], fleet: JourneyFleet
) -> tuple[FleetGraph, dict[str, tuple[str, float]]]:
    """Return the graph with a root for each path, and the leaves for repeated calls: their service, and how many more
    calls.

    Of several calls in one journey a share of the failures (β, as for retries) affects all alike and counts once; the
    rest affects each call by itself.
    """
    own, edges = dict(fleet.graph.own), list[FleetEdge]()
    repeats: dict[str, tuple[str, float]] = {}
    for at, path in enumerate(paths):
        root = f"{_ROOT}{at}"
        own[root] = 1.0
        calls: dict[str, float] = {}
        for step in path.steps:
            if step.service_id not in fleet.graph.own:
                raise ValueError(f"{step.service_id} is not in the graph")
            calls[step.service_id] = calls.get(step.service_id, 0.0) + step.calls
        for service_id, count in sorted(calls.items()):
            edges.append(FleetEdge(root, service_id, min(1.0, count)))
            if count > 1:
                leaf = f"{_REPEATS}{count - 1!r}\0{service_id}"
                repeats[leaf] = (service_id, count - 1)
                own[leaf] = 1 - float(_repeated(fleet.whole.get(service_id, 0.0), count - 1))
                edges.append(FleetEdge(root, leaf))
    table = EdgeTable.of(fleet.graph.edges).with_changes({}, edges)
    return replace(fleet.graph, own=own, edges=table), repeats


def _repeated(unavailability: float | Floats, more: float) -> float | Floats:
    return 1 - (1 - (1 - PERSISTENT_SHARE) * unavailability) ** more


def _windows(
    shares: Sequence[float],
    reached: Sequence[Reached],
    reach: Reach,
    fleet: JourneyFleet,
    repeats: Mapping[str, tuple[str, float]],
    seed: int,
) -> Floats:
    """Return the journey's unavailability in each of many next windows, shape ``(windows,)``."""
    names = sorted({name for part in reached for name in part.names})
    windows = max(200, min(WINDOWS, MAX_CELLS // max(1, len(names), reach.samples)))
    needed = {each for name in names for each in reach.needed_for(name)}
    needed = {repeats[name][0] if name in repeats else name for name in needed} & fleet.graph.own.keys()
    own: dict[str, Floats] = {}
    whole: dict[str, Floats] = {}
    for name in sorted(needed):
        now, all_in_all = 1 - fleet.graph.own[name], fleet.whole.get(name, 1 - fleet.graph.own[name])
        predicted = fleet.predicted.get(name)
        if predicted is None:
            own[name], whole[name] = np.full(windows, now), np.full(windows, all_in_all)
            continue
        whole[name] = predicted.draw(windows, generator_for(name, seed, "journey windows"))
        # Its own share of the predicted failures is that of the observed ones.
        own[name] = whole[name] * (min(1.0, now / all_in_all) if all_in_all > 0 else 1.0)
    for name in names:
        if name in repeats:
            service_id, more = repeats[name]
            own[name] = np.asarray(_repeated(whole[service_id], more))
        elif name in reach.own and name not in own:
            own[name] = np.full(windows, 1 - reach.own[name])
    result = np.zeros(windows)
    for share, part in zip(shares, reached, strict=True):
        up = part.survival([reach.unavailable(name, own, whole) for name in part.names])
        result += share * (1 - up).mean(axis=0)
    return result


def _tiers(windows: Floats) -> tuple[dict[TierName, float], dict[TierName, float]]:
    """Return quantiles of the windows, and their sampling error, from the order statistics one error to each side."""
    ordered = np.sort(windows)
    size = ordered.size
    tiers: dict[TierName, float] = {}
    errors: dict[TierName, float] = {}
    for name, chance in TIER_BREACH_PROBABILITY.items():
        at = min(size - 1, math.ceil((1 - chance) * size) - 1)
        off = math.ceil(math.sqrt(size * chance * (1 - chance)))
        tiers[name] = float(1 - ordered[at])
        errors[name] = float(ordered[min(size - 1, at + off)] - ordered[max(0, at - off)]) / 2
    return tiers, errors


def _links(
    shares: Sequence[float],
    reached: Sequence[Reached],
    now: Sequence[Floats],
    reach: Reach,
    members: set[str],
    failing: float,
) -> tuple[Link, ...]:
    """Return every service below the journey with what one more nine there gains, the weakest first.

    Removing 0.9·u of a node's failures raises survival by the factor (1 − 0.1·u)/(1 − u) in every world in which it
    reaches the journey: exact, not a derivative.
    """
    gains: dict[str, float] = {}
    costs: dict[str, float] = {}
    for share, part, up in zip(shares, reached, now, strict=True):
        mass = up @ part.worlds / reach.samples
        for name, weight in zip(part.names, mass, strict=True):
            # Only a group's best member can reduce the group's common cause.
            cause = reach.causes.get(name)
            whose = name if cause is None else max(cause.members, key=lambda each: (reach.own[each], each))
            if whose not in reach.own or whose.startswith("\0"):
                continue
            u = float(reach.point(name)[0])
            lift = share * float(weight) / max(1 - u, 1e-12)
            gains[whose] = gains.get(whose, 0.0) + lift * NINE * u
            costs[whose] = costs.get(whose, 0.0) + lift * u
    found = [
        Link(name, reach.own[name], costs[name] / failing if failing > 0 else 0.0, gain, name in members)
        for name, gain in gains.items()
    ]
    return tuple(sorted(found, key=lambda link: (-link.gain, link.service_id)))


def _naive(paths: Sequence[Path], shares: Sequence[float], fleet: JourneyFleet) -> float:
    total = 0.0
    for path, share in zip(paths, shares, strict=True):
        total += share * math.prod(
            (1 - min(1.0, step.calls) * (u := fleet.whole.get(step.service_id, 0.0)))
            * (1 - float(_repeated(u, max(0.0, step.calls - 1))))
            for step in path.steps
        )
    return total
