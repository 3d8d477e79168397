import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quantities import format_bytes, parse_bytes, parse_delay, parse_seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("1GiB", 2**30), ("50MB", 50_000_000), ("1.5 KiB", 1536), ("512", 512), (4096, 4096), ("10 tib", 10 * 2**40)],
)
def test_sizes(text: str | int, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize(
    "text",
    ["-1GiB", "0", "0.4", "1G", "GiB", "", "1e3", "NaN", "1 GiB/s", "9EiB", "9999999TiB", "٣MB x", "9" * 400, 10**400],
)
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "value"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1d", 86400), (2.5, 2.5)])
def test_durations(text: str | float, value: float) -> None:
    assert parse_seconds(text) == value


@pytest.mark.parametrize(
    "text", ["10", "-1s", "0s", "s", "1s1", "1y", "", True, math.nan, math.inf, 10**400, "9" * 400 + "d", "300000d"]
)
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_seconds(text)


@pytest.mark.parametrize(("text", "value"), [("0s", 0), ("0d", 0), (0, 0), (0.0, 0), ("2s", 2)])
def test_delays_may_be_none(text: str | float, value: float) -> None:
    assert parse_delay(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1.5 * 2**30, "1.5 GiB"), (2000 * 2**40, "2000 TiB")],
)
def test_sizes_for_people(value: float, text: str) -> None:
    assert format_bytes(value) == text


@given(st.integers(1, 2**60))
def test_a_size_for_people_reads_back_within_a_percent(value: int) -> None:
    assert parse_bytes(format_bytes(value)) == pytest.approx(value, rel=0.01)


@given(st.text(max_size=12))
def test_no_text_escapes_as_another_error(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        with contextlib.suppress(ValueError):
            assert parse(text) > 0
