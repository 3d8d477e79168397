from pathlib import Path

import pytest

from collector.errors import ConfigError
from collector.secretfile import read_secret


def token_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_token_is_read_without_its_line_end(tmp_path: Path, mode: int) -> None:
    assert read_secret(token_file(tmp_path, "s3cret\n", mode), "token_file") == "s3cret"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o610])
def test_a_token_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, "s3cret", mode)
    with pytest.raises(ConfigError, match=rf"has mode {mode:04o}; chmod 600 {path}") as caught:
        read_secret(path, "token_file")
    assert caught.value.code == "secrets.mode"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"), [("", "secrets.empty"), ("a\nb", "secrets.empty"), ("ü", "secrets.unreadable")]
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_secret(token_file(tmp_path, text), "token_file")
    assert caught.value.code == code
