"""The parts of the configuration file that the agent reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collector.outputs.settings import OutputSettings
from collector.settings import AgentSettings, InputSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """All that the agent is told."""

    host: str
    agent: AgentSettings
    inputs: InputSettings
    outputs: OutputSettings
    global_tags: Mapping[str, str]

    def measures_as(self, other: AgentConfig) -> bool:
        """Whether the inputs of the other configuration would be the same in every respect."""
        mine, others = self.agent, other.agent
        return (self.host, self.inputs, self.global_tags) == (other.host, other.inputs, other.global_tags) and (
            (mine.min_age, mine.procfs, mine.sysfs, mine.cgroupfs)
            == (others.min_age, others.procfs, others.sysfs, others.cgroupfs)
        )
