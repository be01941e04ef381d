"""Random streams that depend only on the seed, the service and the purpose."""

from __future__ import annotations

import hashlib

import numpy as np


def generator_for(service_id: str, seed: int, purpose: str) -> np.random.Generator:
    """Return a generator that is the same whatever else is computed before, beside or after it.

    The state is a SHA-256 of seed, service id and purpose. So a service's numbers do not depend on the order or the set
    of services in a run, and two services never share a stream.
    """
    digest = hashlib.sha256(f"{seed}\0{service_id}\0{purpose}".encode("utf-8", "surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
