"""Fixtures of the integration tests. Nothing here touches a process or a container that it did not start."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from orchestrator.ledger import Ledger, open_ledger
from orchestrator.settings import SourceSettings
from tests.support.backup_image import load_backup_image
from tests.support.dockerd import OwnDockerd, import_busybox, own_dockerd_online, remove_containers
from tests.support.dockerd import own_dockerd as run_dockerd
from tests.support.fleet import Exporter, exporter, gate_prometheus, source
from tests.support.mariadb import make_age_key, make_data_dir
from tests.support.postgresql import PostgreSQL
from tests.support.postgresql import postgresql as run_postgresql
from tests.support.servers import Server


@pytest.fixture
def own_dockerd() -> Iterator[OwnDockerd]:
    """A Docker daemon that this test may freeze, kill and fill."""
    with run_dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def online_dockerd() -> Iterator[OwnDockerd]:
    """A Docker daemon whose builds reach Debian's packages."""
    with own_dockerd_online() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def docker_client(online_dockerd: OwnDockerd) -> Iterator[docker.DockerClient]:
    """A client of the daemon that has the backup image."""
    with contextlib.closing(online_dockerd.client(timeout=120)) as client:
        yield client


@pytest.fixture(scope="session")
def backup_image(docker_client: docker.DockerClient) -> str:
    """Id of the backup image, built from this checkout."""
    return load_backup_image(docker_client)


@pytest.fixture(scope="session")
def shared_dockerd() -> Iterator[OwnDockerd]:
    """A Docker daemon for tests that only run containers in it."""
    with run_dockerd() as daemon:
        yield daemon


@pytest.fixture
def lent_dockerd(shared_dockerd: OwnDockerd) -> Iterator[OwnDockerd]:
    """The shared daemon for a test that may freeze it; it goes on afterwards, without containers."""
    yield shared_dockerd
    shared_dockerd.thaw()
    remove_containers(shared_dockerd)


@pytest.fixture(scope="session")
def busybox(shared_dockerd: OwnDockerd) -> str:
    """Name of a tiny image in the shared daemon."""
    return import_busybox(shared_dockerd.client())


@pytest.fixture(scope="session")
def exported() -> Iterator[Exporter]:
    """What the agent of the fleet's one host would serve; a test that changes it asks for `metrics`."""
    with exporter() as served:
        yield served


@pytest.fixture(scope="session")
def monitoring(tmp_path_factory: pytest.TempPathFactory, exported: Exporter) -> Iterator[Server]:
    """A Prometheus that scrapes it, for tests that leave it running: its gate opens seconds after its start."""
    with gate_prometheus(tmp_path_factory.mktemp("prometheus"), exported) as server:
        yield server


@pytest.fixture
def metrics(exported: Exporter) -> Iterator[Exporter]:
    """What `monitoring` scrapes, for a test to change."""
    yield exported
    exported.reset()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[SourceSettings]:
    """A source of that host, without a server."""
    with source(tmp_path / "source") as settings:
        yield settings


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the ledger's tests; each takes a database of its own."""
    with run_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that isn't there yet, of each kind of database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger/ledger.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An open ledger with nothing in it."""
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def empty_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a new MariaDB server, for tests to copy."""
    data = tmp_path_factory.mktemp("mariadb") / "data"
    make_data_dir(data)
    return data


@pytest.fixture(scope="session")
def age_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a private key of age; `recipients` beside it has the public one."""
    return make_age_key(tmp_path_factory.mktemp("age"))
