"""Fixtures of the integration tests. Nothing here touches a process or a container that it did not start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.dockerd import own_dockerd as run_dockerd


@pytest.fixture
def own_dockerd() -> Iterator[OwnDockerd]:
    """A Docker daemon that this test may freeze, kill and fill."""
    with run_dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def shared_dockerd() -> Iterator[OwnDockerd]:
    """A Docker daemon for tests that only run containers in it."""
    with run_dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def busybox(shared_dockerd: OwnDockerd) -> str:
    """Name of a tiny image in the shared daemon."""
    return import_busybox(shared_dockerd.client())
