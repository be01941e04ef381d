"""A console that tests of this folder freeze, one test after the other: it starts once a run and process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.frozen_house import House


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """A running console of its own, whose servers may be stopped."""
    with House.started() as house:
        yield house
