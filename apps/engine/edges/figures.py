"""What the graph needs of an edge, from the estimate that its caller's series gave."""

from __future__ import annotations

from apps.engine.edges.estimates import EdgeEstimate
from apps.engine.graph.reachable import EdgeFigure


def edge_figure(estimate: EdgeEstimate) -> EdgeFigure:
    """Return what the graph needs of an estimate."""
    dependency = estimate.dependency
    return EdgeFigure(
        target=dependency.target_id,
        mode=dependency.mode,
        call_probability=min(1.0, estimate.call_probability),
        hardness=estimate.hardness or 0.0,
        availability=estimate.availability,
        is_counted=estimate.is_counted,
        group=dependency.redundancy_group,
        needed=dependency.redundancy_needed,
        retries=0 if estimate.hardness_source == "observed" else dependency.retries,
        declared_retries=dependency.retries,
        is_targets_own=estimate.availability_source == "target",
    )
