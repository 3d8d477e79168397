"""The backup image of this checkout, built once and loaded by every daemon that is to have it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import docker

from orchestrator.backup import runner
from orchestrator.engines.images import (
    BASE_REPOSITORY,
    BASE_TAG,
    backup_tag,
    context_digest,
    context_files,
    ensure_backup_image,
)
from tests.support.dockerd import own_dockerd_online
from tests.support.made_once import made_once

REPOSITORY = Path(__file__).parents[2]
CONTEXT = REPOSITORY / "deploy" / "images" / "backup"
CACHE = REPOSITORY / "build" / "backup-image"
TRANSFER_SECONDS = 120


def load_backup_image(client: docker.DockerClient) -> str:
    """Id of the image in this daemon, which gets the base as well; builds nothing if any daemon of the tests has."""
    for archive in _archives():
        with archive.open("rb") as file:
            client.images.load(file)
    return ensure_backup_image(client, CONTEXT, _refuse_to_build)


def _refuse_to_build(step: str) -> None:
    raise AssertionError(f"the image that was loaded is not that of this checkout: {step}")


def _archives() -> tuple[Path, Path]:
    """The base and the image as the engine saves them; their folder's name tells the files that they are built from."""
    digest = context_digest(context_files(CONTEXT, Path(runner.__file__).parent))
    version = backup_tag().rpartition(":")[2]
    folder = made_once(CACHE, f"{version}-{digest[:16]}", _build)
    return folder / "base.tar", folder / "image.tar"


def _build(folder: Path) -> None:
    """In a daemon of its own, whose builds reach Debian's packages."""
    with own_dockerd_online() as daemon, contextlib.closing(daemon.client(TRANSFER_SECONDS)) as client:
        ensure_backup_image(client, CONTEXT, lambda _line: None)
        for name, image in (("base", f"{BASE_REPOSITORY}:{BASE_TAG}"), ("image", backup_tag())):
            with (folder / f"{name}.tar").open("wb") as file:
                file.writelines(client.images.get(image).save(named=image))
