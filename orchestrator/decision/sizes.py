"""How large a container is to be, as people write it: options of `place`, lines of a batch, `--what-if`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from collector.errors import ConfigError
from collector.quantities import parse_bytes
from orchestrator.decision.resources import Amounts, ResourceClass, millicores

CPUS = "cpus"
DEFAULTS: Mapping[str, str] = {
    CPUS: "1",
    ResourceClass.MEMORY: "1GiB",
    ResourceClass.DISK: "10GiB",
    ResourceClass.READ_BPS: "50MB",
    ResourceClass.WRITE_BPS: "50MB",
}
"""What is asked for where nothing else is said; classes that aren't here are then not asked for."""

_BYTES = (
    *(ResourceClass.MEMORY, ResourceClass.DISK, ResourceClass.READ_BPS, ResourceClass.WRITE_BPS),
    *(ResourceClass.NETWORK_IN, ResourceClass.NETWORK_OUT),
)
_COUNTS = (ResourceClass.READ_IOPS, ResourceClass.WRITE_IOPS)
KEYS = (CPUS, *(key.value for key in (*_BYTES, *_COUNTS)))


def parse_amounts(sizes: Mapping[str, str | float], named: Callable[[str], str] = str) -> Amounts:
    """Amounts of a container whose size is given by KEYS; what isn't given has its default.

    `named` gives the name that an error uses for a key.

    Raises:
        ConfigError: `request.size`: a key or a value that is none.
    """
    unknown = sorted(set(sizes) - set(KEYS))
    if unknown:
        raise ConfigError("request.size", f"{unknown[0]!r} is no size", f"known: {', '.join(KEYS)}")
    given = {**DEFAULTS, **sizes}
    amounts = {ResourceClass.SLOTS: 1, ResourceClass.CPU: _cores(named(CPUS), given.pop(CPUS))}
    for name, value in given.items():
        key = ResourceClass(name)
        amounts[key] = (_count if key in _COUNTS else _bytes)(named(name), value)
    return amounts


def parse_spec(text: str) -> Amounts:
    """Amounts of `cpus=2,memory=4GiB,disk=200GiB`.

    Raises:
        ConfigError: `request.size`.
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    wrong = next((name for name, sign, _ in parts if not sign), None)
    if wrong is not None:
        raise ConfigError("request.size", f"{wrong!r} has no value", "write for example cpus=2,memory=4GiB,disk=200GiB")
    return parse_amounts({name.strip(): value.strip() for name, _, value in parts})


def _cores(name: str, value: str | float) -> int:
    try:
        cpus = float(value)
    except (ValueError, TypeError, OverflowError):
        cpus = math.nan
    if not (math.isfinite(cpus) and millicores(cpus) > 0):
        raise ConfigError("request.size", f"{name}: {value} is no number of cores", "give for example 0.5 or 2")
    return millicores(cpus)


def _bytes(name: str, value: str | float) -> int:
    try:
        return parse_bytes(value)
    except ValueError as error:
        raise ConfigError("request.size", f"{name}: {error}") from error


def _count(name: str, value: str | float) -> int:
    try:
        count = int(value)
    except (ValueError, TypeError, OverflowError):
        count = 0
    if count <= 0:
        text = f"{name}: {value} is no number of operations per second"
        raise ConfigError("request.size", text, "give for example 500")
    return count
