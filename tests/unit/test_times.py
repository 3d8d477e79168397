from datetime import datetime, timedelta, timezone

import pytest

from collector.errors import ConfigError
from vdbmon.times import parse_until, time_text

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=1))).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200.0), ("1m30s", 90.0), ("2026-11-23T13:00+01:00", 3600.0), (None, None)]
)
def test_until_is_a_duration_or_a_time(text: str | None, seconds: float | None) -> None:
    assert parse_until(text, now=NOW) == (None if seconds is None else NOW + seconds)


def test_a_time_without_an_offset_is_local() -> None:
    local = datetime.fromtimestamp(NOW + 60).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - local time is what is tested
    assert parse_until(local, now=NOW) == NOW + 60
    assert time_text(NOW + 60) == f"{local}:00"


@pytest.mark.parametrize("text", ["tomorrow", "-1h", "2026-11-23T11:59+01:00", "2020-01-01"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_until(text, now=NOW)
    assert caught.value.code == "request.until"
