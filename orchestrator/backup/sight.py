"""Which volumes can be removed from here: sized ones of this host, and the own volumes of other hosts' engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from collector.errors import VdbmonError
from orchestrator.backup.entries import Backup
from orchestrator.launch.protocols import Volumes
from orchestrator.survey.deadline import ask_all

LOOK_SECONDS = 30.0
_NONE: Mapping[str, frozenset[str]] = MappingProxyType({})
_NO_WORD: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of the hosts.

    Attributes:
        whole: hosts of which everything is seen: what isn't seen isn't there.
        volumes: of the others what their engines have; a sized volume is none of it.
        silent: hosts that could not be asked, and why.
    """

    whole: frozenset[str]
    volumes: Mapping[str, frozenset[str]] = field(default_factory=lambda: _NONE)
    silent: Mapping[str, str] = field(default_factory=lambda: _NO_WORD)

    def hindrance(self, backup: Backup) -> str | None:
        """Why its volume can't be removed from here; None if it can."""
        host = backup.host
        if host in self.whole or backup.volume in self.volumes.get(host, ()):
            return None
        if host in self.silent:
            return f"{host} can't be asked: {self.silent[host]}"
        if host in self.volumes:
            return f"{host}'s engine has no such volume; if it is a sized one, run this command on {host}"
        return f"it is on {host}, which is not in [[hosts]]"


def look_at(volumes: Mapping[str, Volumes], *, local_host: str, hosts: Collection[str]) -> Sight:
    """Ask the engines of these hosts what volumes they have; `volumes` are those of all hosts but this one."""
    calls = {host: volumes[host].list for host in hosts if host != local_host and host in volumes}
    answers = ask_all(calls, seconds=LOOK_SECONDS)
    silent = {
        host: answer.message if isinstance(answer, VdbmonError) else f"no answer within {LOOK_SECONDS:g} s"
        for host, answer in ((host, answers.get(host)) for host in calls)
        if not isinstance(answer, tuple)
    }
    seen = {host: frozenset(answer) for host, answer in answers.items() if isinstance(answer, tuple)}
    return Sight(whole=frozenset({local_host}), volumes=seen, silent=silent)
