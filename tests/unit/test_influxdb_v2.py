from pathlib import Path

import pytest
from influxdb_client.rest import ApiException

from collector.errors import ConfigError
from collector.outputs.influxdb_v2 import InfluxV2Output, _refused
from collector.outputs.settings import InfluxV2Settings


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file .*/token: No such file"):
        InfluxV2Output(InfluxV2Settings(urls=("http://127.0.0.1:1",), token_file=tmp_path / "token"))


def test_an_output_without_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="urls is empty"):
        InfluxV2Output(InfluxV2Settings(urls=()))


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, True), (404, True), (408, True), (413, False), (422, False), (429, True), (503, True)],
)
def test_only_a_bad_batch_is_not_tried_again(status: int, retryable: bool) -> None:  # noqa: FBT001 - a parameter
    error = _refused("http://far.example", ApiException(status=status, reason="some\nreason"))  # type: ignore[no-untyped-call]
    assert error.retryable is retryable
    assert str(error).startswith(f"http://far.example: answered {status}: some reason")
