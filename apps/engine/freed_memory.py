"""Keeps memory that a computing process frees and needs again at once."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT, _LARGE = 64 * 1024 * 1024, 32 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MB that it has freed.

    Arrays of some hundred kB come and go by the thousand. By default the C library hands such memory back to the kernel
    and requests it again; each page then costs a fault, 250 for each service. Does nothing where the C library has no
    such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
