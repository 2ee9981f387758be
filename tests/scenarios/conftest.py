"""Programs of users leave nothing behind, whichever client they use."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_left(quiet_loop: None) -> None:
    """See `quiet_loop`."""
