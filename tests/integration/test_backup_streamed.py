"""Backups that the source streams to the container: over ssh by a forced command, over TLS with both certificates."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Record, State
from tests.support.mariadb import (
    MariaDB,
    chain,
    checksums,
    common,
    fill,
    restored_checksums,
    run_job,
    runner_command,
    runner_environment,
    source,
)
from tests.support.senders import backup_line, certificates, sender
from tests.support.servers import free_port
from tests.support.sshd import ssh_key, sshd
from tests.support.wait import wait_until


@dataclass(frozen=True)
class Across:
    """A source in the network namespace `source`, and how a job reaches it: what goes before its command, options."""

    before: tuple[str, ...]
    reach: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Reached:
    """Options by which a job reaches the source; `replace` is one of them made wrong."""

    options: tuple[str, ...]
    wrong: tuple[str, ...]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[MariaDB]:
    with source(tmp_path_factory.mktemp("source"), empty_data) as server:
        fill(server, 10_000)
        yield server


@pytest.fixture(scope="module")
def ssh(shop: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """An sshd of our own, whose only key may make backups of the source and nothing else."""
    folder = tmp_path_factory.mktemp("ssh")
    user, stranger = ssh_key(folder / "user"), ssh_key(folder / "stranger")
    with sshd(folder, backup_line(shop, user)) as server:
        options = ("--ssh=root@127.0.0.1", f"--ssh-port={server.port}", f"--ssh-known-hosts={server.known_hosts}")
        yield Reached((*options, f"--ssh-key={user}"), (*options, f"--ssh-key={stranger}"))


@pytest.fixture(scope="module")
def tls(shop: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """The source's half with TLS."""
    folder = tmp_path_factory.mktemp("tls")
    files, port = certificates(folder, "127.0.0.1"), free_port()
    with sender(shop, f"127.0.0.1:{port}", files("server"), folder / "log"):
        yield Reached((f"--tls=127.0.0.1:{port}", *files("client")), (f"--tls=127.0.0.1:{port}", *files("stranger")))


@pytest.fixture(params=["ssh", "tls"])
def reached(request: pytest.FixtureRequest) -> Reached:
    found: Reached = request.getfixturevalue(request.param)
    return found


def test_a_streamed_chain_restores_to_the_source(
    reached: Reached, shop: MariaDB, age_key: Path, tmp_path: Path
) -> None:
    recipients = f"--recipients={age_key.parent / 'recipients'}"
    full = run_job("backup", *common(tmp_path, "full"), *reached.options, recipients)
    assert full.reason is None, full.reason
    assert full.tables == 3
    shop.sql("UPDATE shop.items SET name = UUID() WHERE id < 500")
    more = ("--parent=full", f"--from-lsn={full.to_lsn}", recipients)
    increment = run_job("backup", *common(tmp_path, "inc1"), *reached.options, *more)
    assert increment.reason is None, increment.reason
    assert increment.from_lsn == full.to_lsn
    record = run_job("restore", *common(tmp_path, "r1"), *chain(tmp_path, "full", "inc1"), f"--identity={age_key}")
    assert record.reason is None, record.reason
    assert restored_checksums(tmp_path, record) == checksums(shop.socket)


def test_a_stranger_is_refused(reached: Reached, tmp_path: Path) -> None:
    record = run_job("backup", *common(tmp_path, "b1"), *reached.wrong)
    assert (record.state, record.code) == (State.FAILED, Code.SOURCE_DENIED)
    assert re.match(r"the source at \S+ refused us: ", record.reason or ""), record.reason
    assert not (tmp_path / "b1").exists()


def test_what_failed_at_the_source_is_the_reason(reached: Reached, shop: MariaDB, tmp_path: Path) -> None:
    right = shop.credentials.read_text()
    shop.credentials.write_text("[client]\nuser=vdbmon\npassword=wrong\n")
    try:
        record = run_job("backup", *common(tmp_path, "b1"), *reached.options)
    finally:
        shop.credentials.write_text(right)
    assert record.code == Code.SOURCE_DENIED
    assert (record.reason or "").startswith("at the source: ")
    assert "Access denied" in (record.reason or "")


def test_a_connection_that_breaks_is_no_backup_and_lets_the_server_go(
    ssh: Reached, shop: MariaDB, tmp_path: Path
) -> None:
    command = runner_command("backup", *common(tmp_path, "b1"), *ssh.options, "--throttle=1")
    stream = tmp_path / ".b1.partial/backup.xb.zst"
    with subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE) as running:
        wait_until(lambda: stream.exists() and stream.stat().st_size > 0, deadline=30, what="the backup grows")
        (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)  # the ssh client
        output, _ = running.communicate(timeout=60)
    assert '"code": "source.lost"' in output.decode()
    assert not (tmp_path / "b1").exists()
    wait_until(lambda: "vdbmon" not in shop.sql("SHOW PROCESSLIST"), deadline=20, what="the server is let go")


def test_the_key_can_ask_for_nothing_else(ssh: Reached) -> None:
    options = dict(option.removeprefix("--").split("=", 1) for option in ssh.options)
    command = ["ssh", "-F", "none", "-T", "-p", options["ssh-port"], "-i", options["ssh-key"]]
    known = ["-o", f"UserKnownHostsFile={options['ssh-known-hosts']}", "-o", "BatchMode=yes"]
    done = subprocess.run([*command, *known, options["ssh"], "id"], input=b"id\n", capture_output=True, check=False)
    assert b"uid=" not in done.stdout
    assert b"the request was refused" in done.stdout


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a wire between them: 10.213.7.1 in the first, 10.213.7.2 in the second."""
    first, second = (f"vdbmon-{os.getpid()}-{number}" for number in (1, 2))
    try:
        for name in (first, second):
            ip("netns", "add", name)
        ip("-n", first, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", second)
        for number, name in ((1, first), (2, second)):
            ip("-n", name, "address", "add", f"10.213.7.{number}/30", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
        yield first, second
    finally:
        for name in (first, second):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def inside_of(name: str) -> tuple[str, ...]:
    """What goes before a command; `ip netns exec` would hold every mount of this machine for as long as it runs."""
    return ("nsenter", f"--net=/run/netns/{name}")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def test_a_backup_on_another_host_restores_there_when_the_first_host_is_lost(tmp_path: Path, empty_data: Path) -> None:
    folder, there = tmp_path / "first", tmp_path / "second"
    folder.mkdir()
    there.mkdir()
    files = certificates(tmp_path, "10.213.7.1")
    with two_hosts() as (first, second):
        inside = inside_of(second)
        with source(folder, empty_data) as shop:
            fill(shop, 2000)
            where = "10.213.7.1:4444"
            with sender(shop, where, files("server"), tmp_path / "log", before=inside_of(first)):
                reach = (f"--tls={where}", *files("client"))
                made = run_job("backup", *common(there, "b1"), *reach, before=inside)
                assert made.reason is None, made.reason
            before = checksums(shop.socket)
        shutil.rmtree(folder)
        ip("netns", "delete", first)
        gone = run_job("backup", *common(there, "b2"), *reach, before=inside)
        assert (gone.state, gone.code) == (State.FAILED, Code.SOURCE_LOST)
        record = run_job("restore", *common(there, "r1"), *chain(there, "b1"), before=inside)
        assert record.reason is None, record.reason
        assert restored_checksums(there, record) == before


SILENCE = 4.0


@pytest.fixture(params=["ssh", "tls"])
def across(request: pytest.FixtureRequest, tmp_path: Path, shop: MariaDB) -> Iterator[Across]:
    """The source behind a wire that a test may cut."""
    silence = f"--silence={SILENCE}"
    with two_hosts() as (first, second), contextlib.ExitStack() as stack:
        there = inside_of(first)
        if request.param == "tls":
            files = certificates(tmp_path, "10.213.7.1")
            more = (*files("server"), silence)
            stack.enter_context(sender(shop, "10.213.7.1:4444", more, tmp_path / "log", before=there))
            reach: tuple[str, ...] = ("--tls=10.213.7.1:4444", *files("client"))
        else:
            user = ssh_key(tmp_path / "user")
            line = backup_line(shop, user, silence)
            server = stack.enter_context(sshd(tmp_path, line, address="10.213.7.1", before=there))
            reach = ("--ssh=root@10.213.7.1", f"--ssh-port={server.port}", f"--ssh-key={user}")
            reach += (f"--ssh-known-hosts={server.known_hosts}",)
        yield Across(inside_of(second), (*reach, silence), first)


def test_a_link_that_goes_silent_is_given_up_in_time_by_both_ends(
    across: Across, shop: MariaDB, tmp_path: Path
) -> None:
    """The wire is cut: nothing arrives any more, and nothing says so."""
    volume = tmp_path / "volume"
    volume.mkdir()
    command = [*across.before, *runner_command("backup", *common(volume, "b1"), *across.reach, "--throttle=1")]
    stream = volume / ".b1.partial/backup.xb.zst"
    with subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE) as running:
        wait_until(lambda: stream.exists() and stream.stat().st_size > 0, deadline=30, what="the backup grows")
        ip("-n", across.source, "link", "set", "wire", "down")
        cut = time.monotonic()
        output, _ = running.communicate(timeout=60)
        took = time.monotonic() - cut
    record = Record.from_json(output.decode().splitlines()[-1])
    assert record.code == Code.SOURCE_LOST
    assert re.match(r"the source at \S+ broke off: (nothing came for 4 s|Timeout, server)", record.reason or ""), record
    assert SILENCE - 1 < took < SILENCE + 4
    assert not (volume / "b1").exists()
    assert not stream.exists()
    wait_until(lambda: "vdbmon" not in shop.sql("SHOW PROCESSLIST"), deadline=20, what="the server is let go")


def test_a_backup_that_waits_for_another_one_says_so(tls: Reached, shop: MariaDB, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    command = runner_command("backup", *common(tmp_path, "b1"), *tls.options)
    with shop.holding("BACKUP STAGE START"), lines.open("wb") as output:
        running = subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE, stderr=output)
        wait_until(lambda: "waiting: another backup of" in lines.read_text(), deadline=30, what="it says so")
        assert running.poll() is None
    with running:
        found, _ = running.communicate(timeout=60)
    assert Record.from_json(found.decode().splitlines()[-1]).reason is None
