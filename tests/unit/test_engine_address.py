"""Addresses of engines, and the ssh command that brings a socket here."""

from pathlib import Path

import pytest

from orchestrator.engines.address import engine_faults
from orchestrator.engines.ssh_tunnel import ssh_command
from orchestrator.settings import HostSettings, Inventory, SshSettings, TlsSettings

INVENTORY = Inventory(cpus=1, memory=1, disk=1, read_bps=1, write_bps=1)
TLS = TlsSettings(ca=Path("/ca.pem"), cert=Path("/cert.pem"), key=Path("/key.pem"))
SSH = SshSettings(key=Path("/id"), known_hosts=Path("/known"))


def faults(docker: str | None, *, tls: TlsSettings | None = None, ssh: SshSettings | None = None) -> list[str]:
    return list(engine_faults([HostSettings(name="db1", inventory=INVENTORY, docker=docker, tls=tls, ssh=ssh)]))


@pytest.mark.parametrize(
    ("docker", "tls", "ssh"),
    [
        (None, None, None),
        ("unix:///var/run/docker.sock", None, None),
        ("tcp://10.0.0.12:2376", TLS, None),
        ("tcp://127.0.0.1:2375", None, None),
        ("tcp://localhost:2375", None, None),
        ("ssh://vdbmon@10.0.0.13", None, SSH),
        ("ssh://10.0.0.13:2222/run/docker.sock", None, SSH),
    ],
)
def test_addresses_that_can_be_used(docker: str | None, tls: TlsSettings | None, ssh: SshSettings | None) -> None:
    assert faults(docker, tls=tls, ssh=ssh) == []


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ("unix://var/run/docker.sock", "no path of a socket"),
        ("tcp://10.0.0.12:2375", "whoever reaches it is root there; give [hosts.tls]"),
        ("tcp://10.0.0.12", "host or port is missing"),
        ("tcp://10.0.0.12:99999", "Port out of range"),
        ("ssh://vdbmon@10.0.0.13", "give [hosts.ssh] with a key"),
        ("ssh://vdbmon:secret@10.0.0.13", "it holds a password"),
        ("ssh://-oProxyCommand=x", "no host"),
        ("http://10.0.0.12:2375", "vdbmon doesn't know that kind"),
        ("/var/run/docker.sock", "write for example unix:///var/run/docker.sock"),
    ],
)
def test_addresses_that_can_not_be_used_are_told_with_what_is_right(docker: str, said: str) -> None:
    (fault,) = faults(docker)
    assert fault.startswith(f"hosts db1: docker = {docker!r}: ")
    assert said in fault


def test_ssh_forwards_the_socket_with_that_key_alone_and_asks_nobody() -> None:
    command = ssh_command("ssh://ann@db1:2222/run/d.sock", SSH, Path("/x/docker.sock"))
    assert command[:6] == ["ssh", "-T", "-i", "/id", "-L", "/x/docker.sock:/run/d.sock"]
    assert command[-5:-1] == ["-l", "ann", "--", "db1"]
    for option in ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/known"):
        assert option in command
    assert ssh_command("ssh://db1", SSH, Path("/s"))[5] == "/s:/var/run/docker.sock"
