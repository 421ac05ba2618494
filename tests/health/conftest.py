"""The clock of the health tests."""

from __future__ import annotations

import pytest

from tests.health.virtual import Clock


@pytest.fixture
def clock() -> Clock:
    """Starts away from 0, so that a forgotten default shows."""
    return Clock(1000.0)
