"""The dependencies' share of failures, an input of the forecast."""

from __future__ import annotations

import numpy as np

from apps.engine.decomposition import Decomposition
from apps.engine.types import Floats


def dependency_share_of(parts: Decomposition, scales: Floats) -> Floats:
    """Return the share of failures that dependencies caused, with each cause scaled: ``(rows, causes)`` →
    ``(rows,)``.
    """
    failures = np.asarray(scales) * parts.bad.sum(axis=0)
    is_dependency = np.array([cause.kind in ("dependency", "other_dependencies") for cause in parts.causes])
    total = failures.sum(axis=1)
    shares: Floats = np.divide(
        failures[:, is_dependency].sum(axis=1), total, out=np.zeros_like(total), where=total > 0
    )
    return shares
