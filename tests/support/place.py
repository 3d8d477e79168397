"""A scheduler on a test's own daemon and Prometheus, whose job the test chooses."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import docker

from collector.errors import VdbmonError
from orchestrator.backup.commands import Invocation, VolumeOf, invocation
from orchestrator.backup.job_names import JobName
from orchestrator.decision.decide import Decision
from orchestrator.decision.request import Request
from orchestrator.placement.jobs import Job
from orchestrator.placement.outcomes import Placement
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import FleetSettings
from tests.support.backups import record
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import HOST, SMALL
from tests.support.wait import wait_until

NOTHING: tuple[list[str], list[str], tuple[str, ...], dict[str, object]] = ([], [], (), {})
"""What `Place.leftovers` finds when nothing is left."""


def own_jobs(image: str, command: Callable[[str], tuple[str, ...]]) -> Mapping[str, Job]:
    """Every job with a command line of the test's own, told the name of its volume; its mounts are as ever."""

    def run(request: Request, volume: str, volume_of: VolumeOf) -> Invocation:
        return replace(invocation(request, volume, volume_of), command=command(volume))

    return dict.fromkeys(JobName, Job(image=image, run=run))


@dataclass
class Place:
    """A scheduler whose job a test chooses."""

    scheduler: Scheduler
    client: docker.DockerClient
    image: str

    def job(self, *command: str, image: str | None = None) -> Scheduler:
        return replace(self.scheduler, jobs=own_jobs(image or self.image, lambda _: command))

    def place(self, name: str, *command: str, image: str | None = None) -> Placement:
        scheduler = self.job(*command, image=image)
        request = scheduler.request(name, source="demo", job="backup", amounts=SMALL)
        return scheduler.place(request, decided=lambda _: None)

    def decide(self) -> Decision:
        request = self.scheduler.request("probe", source="demo", job="backup", amounts=SMALL)
        return self.scheduler.decide(request)

    def leftovers(self) -> tuple[list[str], list[str], tuple[str, ...], Mapping[str, object]]:
        """Containers, live launches, volumes, allocations."""
        view = self.scheduler.ledger.view()
        return (
            [str(item.name) for item in self.client.containers.list(all=True)],
            [record.name for record in self.scheduler.ledger.launches()],
            self.scheduler.volumes.list(),
            view.allocated,
        )


def good_record(backup_id: str) -> str:
    """What the runner leaves beside a good backup."""
    return record(backup_id).to_json()


def always_sampled(_host: str, _name: str) -> bool:
    """No agent runs beside these tests."""
    return True


@contextlib.contextmanager
def opened(settings: FleetSettings, daemon: OwnDockerd, image: str) -> Iterator[Place]:
    with open_scheduler(settings, HOST) as opened_scheduler, contextlib.closing(daemon.client()) as client:
        scheduler = replace(opened_scheduler, sampled=always_sampled)
        place = Place(scheduler, client, image)
        try:
            yield place
        finally:
            for container in client.containers.list(all=True):
                container.remove(force=True)
            for volume in scheduler.volumes.list():
                wait_until(partial(removed, scheduler, volume), deadline=60.0, what=f"{volume} is removed")


def removed(scheduler: Scheduler, volume: str) -> bool:
    """Whether a volume could be removed; a process that copies all mounts of the host may hold it for a moment."""
    with contextlib.suppress(VdbmonError):
        scheduler.volumes.remove(volume)
        return True
    return False
