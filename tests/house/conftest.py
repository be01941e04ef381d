"""Data folders for tests that start servers of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data folder that is gone afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="ballast-house-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture(scope="module")
def kept_data_dir() -> Iterator[Path]:
    """A data folder that all tests of a module use one after the other."""
    parent = Path(tempfile.mkdtemp(prefix="ballast-house-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)
