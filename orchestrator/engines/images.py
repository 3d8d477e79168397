"""The backup image: built where it is missing or out of date, also where no registry is within reach.

Without a registry the base comes from mmdebstrap and the host's own apt sources. The classic builder of the Engine API
is used, because Debian's docker.io has no BuildKit front end.
"""

from __future__ import annotations

import hashlib
import io
import os
import queue
import subprocess
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docker
import docker.errors

from collector.errors import VdbmonError

BASE_REPOSITORY = "debian"
BASE_TAG = "bookworm-slim"
BASE_SUITE = "bookworm"
BACKUP_REPOSITORY = "vdbmon/backup"
CONTEXT_LABEL = "io.vdbmon.context.sha256"

PULL_ANSWER_SECONDS = 8.0  # a registry that can't be reached takes the daemon up to 20 s
PULL_SILENCE_SECONDS = 60.0
BUILD_SILENCE_SECONDS = 300
_KEPT_LINES = 4
_RUNNER_DIR = Path(__file__).parents[1] / "backup" / "runner"
_APT_DIR = Path("/etc/apt")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

Progress = Callable[[str], None]


def backup_tag() -> str:
    """Name and tag of the image that this version of vdbmon builds and runs."""
    return f"{BACKUP_REPOSITORY}:{version('vdbmon')}"


def ensure_backup_image(client: docker.DockerClient, context_dir: Path, progress: Progress) -> str:
    """Return the id of the image `vdbmon/backup:<version>`, built first if it isn't that of these files.

    Args:
        client: the engine that is to have the image.
        context_dir: the folder of the Dockerfile; the runner is added to it from this package.
        progress: is told of each long step in a line.

    Raises:
        VdbmonError: `image.context_missing`, `image.base_failed`, `image.build_failed`.
    """
    tag = backup_tag()
    files = context_files(context_dir, _RUNNER_DIR)
    digest = context_digest(files)
    existing = _find_image(client, tag)
    if existing is not None and existing.labels.get(CONTEXT_LABEL) == digest:
        return str(existing.id)
    _ensure_base(client, progress)
    progress(f"building {tag}")
    _build(client, tag, files, digest)
    built = _find_image(client, tag)
    if built is None:
        raise VdbmonError("image.build_failed", f"{tag} was built and is gone again", "run the command again")
    return str(built.id)


def context_files(context_dir: Path, runner_dir: Path) -> dict[str, Path]:
    """Files of the build context by their path in it: those of the folder, and the runner's modules.

    Raises:
        VdbmonError: `image.context_missing`, the folder has no Dockerfile.
    """
    if not (context_dir / "Dockerfile").is_file():
        raise VdbmonError("image.context_missing", f"{context_dir} has no Dockerfile", "give the folder of the image")
    files = {path.name: path for path in context_dir.iterdir() if path.is_file()}
    files |= {f"runner/{path.name}": path for path in runner_dir.glob("*.py")}
    return dict(sorted(files.items()))


def context_digest(files: Mapping[str, Path]) -> str:
    """SHA-256 over the names, the executable bits and the content of a build context."""
    digest = hashlib.sha256()
    for name, path in files.items():
        content = path.read_bytes()
        digest.update(f"{name}\0{_mode(path):o}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def debian_sources(apt_dir: Path, suite: str) -> list[Path]:
    """The host's apt source files that offer the suite's `main`; none on a host of another suite."""
    candidates = [apt_dir / "sources.list", *sorted((apt_dir / "sources.list.d").glob("*"))]
    return [path for path in candidates if path.is_file() and _offers(path.read_text(), suite)]


def _offers(sources: str, suite: str) -> bool:
    """Whether an apt source file, in one-line or deb822 style, offers the suite's `main`."""
    lines = [line for line in sources.splitlines() if not line.startswith("#")]
    one_line = any(line.startswith("deb ") and {suite, "main"} <= set(line.split()) for line in lines)
    fields = [set(line.split()[1:]) for line in lines if line.startswith(("Suites:", "Components:"))]
    return one_line or (any(suite in words for words in fields) and any("main" in words for words in fields))


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _find_image(client: docker.DockerClient, tag: str) -> Any:
    try:
        return client.images.get(tag)
    except docker.errors.ImageNotFound:
        return None


def _ensure_base(client: docker.DockerClient, progress: Progress) -> None:
    base = f"{BASE_REPOSITORY}:{BASE_TAG}"
    if _find_image(client, base) is not None:
        return
    progress(f"pulling {base}")
    reason = _pull_base(client)
    if _find_image(client, base) is not None:
        return
    progress(f"no {base} from a registry ({reason}); making it with mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="vdbmon-base-") as folder:
        archive = Path(folder) / "base.tar"
        _bootstrap_base(archive)
        progress(f"importing {base}")
        answer = client.api.import_image_from_file(str(archive), repository=BASE_REPOSITORY, tag=BASE_TAG)
    if _find_image(client, base) is None:
        raise VdbmonError("image.base_failed", f"the engine did not import {base}: {_one_line([str(answer)])}")


def _pull_base(client: docker.DockerClient) -> str:
    """Pull the base; say why it ended without it.

    docker-py's pull has no deadline, so a thread waits for the engine. A thread left behind ends with the engine's own
    deadline; an image that arrives late is the one that was wanted.
    """
    lines: queue.Queue[str | None] = queue.Queue()

    def pull() -> None:
        try:
            for entry in client.api.pull(BASE_REPOSITORY, tag=BASE_TAG, stream=True, decode=True):
                lines.put(_entry_text(entry))
        except docker.errors.APIError as error:
            lines.put(str(error.explanation))
        except (docker.errors.DockerException, OSError) as error:
            lines.put(str(error))
        finally:
            lines.put(None)

    threading.Thread(target=pull, name="pull-base", daemon=True).start()
    last, deadline = "no answer from the registry", PULL_ANSWER_SECONDS
    while True:
        try:
            line = lines.get(timeout=deadline)
        except queue.Empty:
            return last
        if line is None:
            return last
        last, deadline = line or last, PULL_SILENCE_SECONDS


def _bootstrap_base(archive: Path) -> None:
    sources = [str(path) for path in debian_sources(_APT_DIR, BASE_SUITE)]
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", BASE_SUITE, str(archive), *sources]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise VdbmonError("image.base_failed", "mmdebstrap is not installed", "apt-get install mmdebstrap") from None
    if done.returncode:
        raise VdbmonError(
            "image.base_failed",
            f"mmdebstrap failed ({done.returncode}): {_one_line(done.stderr.splitlines())}",
            "see whether `apt-get update` works on this host",
        )


def _build(client: docker.DockerClient, tag: str, files: Mapping[str, Path], digest: str) -> None:
    proxies = {name: os.environ[name] for name in _PROXY_VARIABLES if os.environ.get(name)}
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        output: Iterable[Any] = client.api.build(
            fileobj=_context_tar(files),
            custom_context=True,
            tag=tag,
            labels={CONTEXT_LABEL: digest},
            buildargs=proxies,
            network_mode="host",  # an engine without a bridge, or a proxy on loopback, serves as well
            rm=True,
            forcerm=True,
            timeout=BUILD_SILENCE_SECONDS,
            decode=True,
        )
        failed = False
        for entry in output:  # to its end, which closes the connection
            last.extend(line for line in _entry_text(entry).splitlines() if line.strip())
            failed = failed or "error" in entry
    except (docker.errors.DockerException, OSError) as error:
        raise VdbmonError("image.build_failed", f"building {tag} failed: {_one_line([*last, str(error)])}") from error
    if failed:
        raise VdbmonError("image.build_failed", f"building {tag} failed: {_one_line(last)}")


def _context_tar(files: Mapping[str, Path]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, path in files.items():
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), _mode(path)
            tar.addfile(member, io.BytesIO(content))
    archive.seek(0)
    return archive


def _entry_text(entry: Mapping[str, Any]) -> str:
    """The text of one line of the engine's JSON stream."""
    return str(entry.get("error") or entry.get("stream") or entry.get("status") or "")


def _one_line(lines: Iterable[str]) -> str:
    kept = [" ".join(line.split()) for line in lines if line.strip()][-_KEPT_LINES:]
    return " | ".join(kept) or "no output"
