"""A computing process keeps the memory that it frees, so that it does not pay for each page again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource
import numpy as np
from apps.engine.freed_memory import keep_freed_memory
keep_freed_memory()
for times in (50, 500):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        some = [np.ones(30_000) for _ in range(4)]
        del some
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_memory_that_was_freed_costs_no_page_faults_again() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500, "for 500 times four arrays of 59 pages"
