"""The table at any width: which columns there is room for, and what stands in them.

Every figure stands as `used/limit`, aligned at the stroke. A narrow terminal shows the busier direction of the network
instead of both, and what runs inside only of the selected row (see `frame`); a wide one has more sparklines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from alerts.thresholds import BLKIO_AT_LIMIT_RATIO, CONTAINER_MEMORY_RATIO, MEMORY_USED_RATIO, THROTTLED_RATIO
from vdbmon.top.formats import amount, cores, duration, percent, whole_cores
from vdbmon.top.glyphs import Glyphs, sparkline
from vdbmon.top.listing import Row
from vdbmon.top.rows import Use, nearest_limit

_INDENT = "  "
_WIDEST_NAME = 40
_USED, _LIMIT = 4, 4  # characters at the most
_PAIR = _USED + 1 + _LIMIT

GRAVE, WARNING, QUIET, HOST = "red", "yellow", "dim", "bold"

Cell = tuple[str, str]
"""Text and its style."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        width: in cells; the least of it where the column stretches.
        cell: what stands in it, for a row and a width.
        stretches: whether it takes what is left.
        is_trend: whether it says nothing before there were some readings.
    """

    heading: str
    width: int
    cell: Callable[[Row, int, Glyphs], Cell]
    stretches: bool = False
    is_trend: bool = False


def table_lines(
    rows: Sequence[Row],
    width: int,
    glyphs: Glyphs,
    *,
    longest_name: int,
    selected: int | None = None,
    trends: bool = True,
) -> list[Text]:
    """The headings, and a line of exactly `width` cells for each row.

    `longest_name` keeps the columns in their place while other rows are shown: the cells that any name needs.
    """
    plan = tuple(column for column in _columns(width) if trends or not column.is_trend)
    columns = _widened(plan, width, longest_name)
    headings = " ".join(glyphs.fitted(column.heading, cells) for column, cells in columns)
    lines = [Text(glyphs.fitted(headings, width), "reverse")]
    for number, row in enumerate(rows):
        line = _problem_line(row, width, glyphs) or _line(row, columns, width, glyphs)
        if number == selected:
            line.stylize("reverse")
        lines.append(line)
    return lines


def name_width(row: Row) -> int:
    """Cells that the name of a row needs."""
    return cell_len(row.host.name) + 1 if row.container is None else len(_INDENT) + cell_len(row.container.name)


def inside(row: Row) -> Cell:
    """What runs in a container and takes how many cores; of a host what is wrong, else how many containers it has."""
    if row.container is not None:
        return ", ".join(_group(group.name, group.processes, group.cpu) for group in row.container.groups), ""
    if row.host.row is None:
        return "", ""
    if row.host.row.warnings:
        return "; ".join(row.host.row.warnings), WARNING
    count = len(row.host.row.containers)
    return f"{count} container{'s' * (count != 1)}", QUIET


def problem(row: Row) -> str:
    """Why a host has no figures; empty where it has."""
    if row.host.problem:
        age = row.host.age
        return f"{row.host.problem}; {'never answered' if age is None else f'last answer {duration(age)} ago'}"
    return "" if row.host.row else "asking"


def _columns(width: int) -> tuple[Column, ...]:
    return next((columns for columns in _PLANS if _least(columns) <= width), _PLANS[-1])


def _least(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(columns) - 1


def _widened(columns: Sequence[Column], width: int, longest_name: int) -> list[tuple[Column, int]]:
    """Give what is left of the width to the names, as far as they need it, and then to what runs inside."""
    spare = max(width - _least(columns), 0)
    stretching = [column for column in columns if column.stretches]
    wanted = min(longest_name, _WIDEST_NAME) if len(stretching) > 1 else width
    name = max(min(spare, wanted - columns[0].width), 0)
    more = {stretching[0]: name, stretching[-1]: spare - name} if len(stretching) > 1 else {stretching[0]: spare}
    return [(column, column.width + more.get(column, 0)) for column in columns]


def _line(row: Row, columns: Sequence[tuple[Column, int]], width: int, glyphs: Glyphs) -> Text:
    base = HOST if row.container is None else ""
    line = Text(style=base)
    for number, (column, cells) in enumerate(columns):
        text, style = column.cell(row, cells, glyphs)
        line.append(" " * bool(number))
        line.append(glyphs.fitted(text, cells), style or None)
    line.append(" " * max(width - cell_len(line.plain), 0))
    line.truncate(width)
    return line


def _problem_line(row: Row, width: int, glyphs: Glyphs) -> Text | None:
    words = problem(row)
    if not words:
        return None
    return Text(glyphs.fitted(f"{row.host.name}  {words}", width), GRAVE if row.host.problem else QUIET)


def _group(name: str, processes: int, cpu: float | None) -> str:
    count = f"{processes} " if processes > 1 else ""
    return f"{count}{name}" if cpu is None else f"{count}{name} {cores(cpu)}"


def _name(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    if row.container is not None:
        return f"{_INDENT}{row.container.name}", ""
    if row.host.row is not None and row.host.row.warnings:
        return f"{row.host.name}!", WARNING
    return row.host.name, ""


def _pair(used: str, limit: str, style: str = "", mark: str = "") -> Cell:
    return f"{mark}{used:>{_USED}}{f'/{limit}' if limit else ''}", style


def _cpu(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    use = row.figures.cpu
    return _pair(cores(use.used), "" if use.limit is None else whole_cores(use.limit))


def _memory(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    worst = MEMORY_USED_RATIO if row.container is None else CONTAINER_MEMORY_RATIO
    return _bytes(row.figures.memory, GRAVE if (row.figures.memory.share or 0.0) > worst.value else "")


def _bytes(use: Use, style: str = "", mark: str = "") -> Cell:
    return _pair(amount(use.used), "" if use.limit is None else amount(use.limit), style, mark)


def _disk(use: Use) -> Cell:
    return _bytes(use, WARNING if (use.share or 0.0) > BLKIO_AT_LIMIT_RATIO.value else "")


def _read(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    return _disk(row.figures.read)


def _write(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    return _disk(row.figures.write)


def _received(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    return _bytes(row.figures.received)


def _sent(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    return _bytes(row.figures.sent)


def _network(row: Row, _width: int, glyphs: Glyphs) -> Cell:
    """The direction that is nearer its limit, else the busier."""
    received, sent = row.figures.received, row.figures.sent
    if received.used is None and sent.used is None:
        return _bytes(received, mark=" ")
    nearer = nearest_limit((received, sent))
    return _bytes(nearer, mark=glyphs.received if nearer is received else glyphs.sent)


def _throttled(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    share = row.figures.throttled
    return f"{percent(share):>4}", WARNING if (share or 0.0) > THROTTLED_RATIO.value else ""


def _cpu_trend(row: Row, width: int, glyphs: Glyphs) -> Cell:
    return sparkline(row.trend.cpu, width, glyphs, top=None if row.figures.cpu.limit is None else 1.0), "cyan"


def _disk_trend(row: Row, width: int, glyphs: Glyphs) -> Cell:
    return sparkline(row.trend.disk, width, glyphs), "cyan"


def _network_trend(row: Row, width: int, glyphs: Glyphs) -> Cell:
    return sparkline(row.trend.network, width, glyphs), "cyan"


def _inside(row: Row, _width: int, _glyphs: Glyphs) -> Cell:
    return inside(row)


def _paired(heading: str, cell: Callable[[Row, int, Glyphs], Cell]) -> Column:
    return Column(f"{heading:>{_USED}}", _PAIR, cell)


_NAME = Column("HOST, CONTAINER", 18, _name, stretches=True)
_SHORT_NAME = Column("NAME", 10, _name, stretches=True)
_CPU, _MEMORY = _paired("CPU", _cpu), _paired("MEM", _memory)
_READ, _WRITE = _paired("READ", _read), _paired("WRITE", _write)
_IN, _OUT = _paired("IN", _received), _paired("OUT", _sent)
_BOTH_WAYS = Column("  NET", 1 + _PAIR, _network)
_THROTTLED = Column(" THR", 4, _throttled)
_TREND, _LONG_TREND = Column("", 5, _cpu_trend, is_trend=True), Column("", 12, _cpu_trend, is_trend=True)
_DISK_TREND = Column("", 10, _disk_trend, is_trend=True)
_NETWORK_TREND = Column("", 10, _network_trend, is_trend=True)
_INSIDE = Column("INSIDE", 18, _inside, stretches=True)

# From the widest; the first that fits is taken.
_PLANS: tuple[tuple[Column, ...], ...] = (
    (
        *(_NAME, _CPU, _LONG_TREND, _THROTTLED, _MEMORY, _READ, _WRITE, _DISK_TREND),
        *(_IN, _OUT, _NETWORK_TREND, _INSIDE),
    ),
    (_NAME, _CPU, _TREND, _THROTTLED, _MEMORY, _READ, _WRITE, _IN, _OUT, _INSIDE),
    (_NAME, _CPU, _TREND, _THROTTLED, _MEMORY, _READ, _WRITE, _BOTH_WAYS),
    (_SHORT_NAME, _CPU, _THROTTLED, _MEMORY, _READ, _WRITE),
    (_SHORT_NAME, _CPU, _MEMORY),
)
