from pathlib import Path

import pytest

from collector.errors import ConfigError
from collector.outputs.influxdb_v2 import InfluxV2Output
from collector.outputs.settings import InfluxV2Settings


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file .*/token: No such file"):
        InfluxV2Output(InfluxV2Settings(urls=("http://127.0.0.1:1",), token_file=tmp_path / "token"))
