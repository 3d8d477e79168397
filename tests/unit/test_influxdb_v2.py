from pathlib import Path

import pytest
from influxdb_client.rest import ApiException

from collector.errors import ConfigError
from collector.outputs.influxdb_v2 import InfluxV2Output, _refused, read_token
from collector.settings import InfluxV2Settings


def token_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_read_without_its_line_end(tmp_path: Path) -> None:
    assert read_token(token_file(tmp_path, "s3cret\n")) == "s3cret"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o400, 0o700])
def test_a_token_file_of_another_mode_is_refused(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, "s3cret", mode)
    with pytest.raises(ConfigError, match=rf"has mode {mode:04o}; chmod 600 {path}") as caught:
        read_token(path)
    assert caught.value.code == "secrets.mode"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"), [("", "secrets.empty"), ("a\nb", "secrets.empty"), ("ü", "secrets.unreadable")]
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_token(token_file(tmp_path, text))
    assert caught.value.code == code


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
