import logging
from pathlib import Path

import pytest

from collector.errors import ConfigError
from collector.web.web_config import RETRY_EVERY, WebConfig, load_protection
from tests.support.web_site import HASH, TLS, USERS, write_certificate, write_web_config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificate(tmp_path)
    return tmp_path


def test_tls_and_users_are_read_and_paths_start_at_the_file(folder: Path) -> None:
    protection = load_protection(write_web_config(folder, TLS + USERS))
    assert protection.tls is not None
    assert protection.users == {"prometheus": HASH.encode()}
    assert protection.files == (folder / "web.yml", folder / "cert.pem", folder / "key.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has neither tls_server_config nor basic_auth_users"),
        ("- a list", "the document: Input should be"),
        ("a: b: c", "is not YAML"),
        ("basic_auth_users: 2026-02-31", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("http_server_config: {http2: true}", "http_server_config: unknown key"),
        ("tls_server_config: {cert_file: cert.pem}", "tls_server_config.key_file: is missing"),
        (TLS.replace("}", ", cipher_suites: [x]}"), "tls_server_config.cipher_suites: unknown key"),
        (
            TLS.replace("}", ", min_version: TLS10}"),
            "tls_server_config.min_version: Input should be 'TLS12' or 'TLS13'",
        ),
        (TLS.replace("}", ", client_auth_type: RequireAnyClientCert}"), "client_auth_type: Input should be"),
        (TLS.replace("}", ", client_ca_file: ca.pem}"), "client_ca_file and client_auth_type need each other"),
        (TLS.replace("}", ", client_auth_type: RequireAndVerifyClientCert}"), "need each other"),
        ("basic_auth_users: {prometheus: secret}", "the password of 'prometheus' is no bcrypt hash"),
        (USERS.replace("$04$", "$31$"), "has cost 31; take 14 at the most"),
        (TLS.replace("cert.pem", "none.pem"), "none.pem"),
        (TLS.replace("cert_file: cert.pem", "cert_file: key.pem"), "they must be PEM and belong together"),
        (TLS.replace("key_file: key.pem", "key_file: none.pem"), "none.pem: No such file"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_why(folder: Path, text: str, message: str) -> None:
    path = write_web_config(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_protection(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert HASH not in str(caught.value)


def test_a_key_of_another_pair_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_certificate(other)
    (folder / "key.pem").write_bytes((other / "key.pem").read_bytes())
    with pytest.raises(ConfigError, match="belong together"):
        load_protection(write_web_config(folder, TLS))


@pytest.mark.parametrize(("file", "text"), [("key.pem", TLS), ("web.yml", USERS)])
def test_secrets_that_others_may_read_are_refused(folder: Path, file: str, text: str) -> None:
    path = write_web_config(folder, text)
    (folder / file).chmod(0o640)
    with pytest.raises(ConfigError, match=rf"{file} has mode 0640; chmod 600") as caught:
        load_protection(path)
    assert caught.value.code == "secrets.mode"


def test_a_file_without_secrets_may_be_read_by_others(folder: Path) -> None:
    assert load_protection(write_web_config(folder, TLS, 0o644)).tls is not None


def test_a_renewed_certificate_is_taken_and_nothing_is_read_without_need(folder: Path) -> None:
    config = WebConfig(write_web_config(folder, TLS + USERS))
    first = config.refresh()
    assert config.refresh() is first
    write_certificate(folder)
    renewed = config.refresh()
    assert renewed is not first
    assert config.refresh() is renewed


def test_half_a_renewal_leaves_the_old_certificate_until_the_other_half_is_there(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    config = WebConfig(write_web_config(folder, TLS), lambda: now)
    first = config.refresh()
    other = tmp_path_factory.mktemp("other")
    write_certificate(other)
    (folder / "cert.pem").write_bytes((other / "cert.pem").read_bytes())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert config.refresh() is first
            now += RETRY_EVERY
    assert len(caplog.records) == 1
    (folder / "key.pem").write_bytes((other / "key.pem").read_bytes())
    assert config.refresh() is not first


@pytest.mark.parametrize("text", ["", TLS, USERS, "basic_auth_users: {prometheus:"])
def test_a_file_that_is_half_written_takes_no_protection_away(folder: Path, text: str) -> None:
    config = WebConfig(write_web_config(folder, TLS + USERS))
    first = config.refresh()
    write_web_config(folder, text)
    assert config.refresh() is first
    write_web_config(folder, TLS + USERS + "# complete\n")
    config._retry_at = 0.0
    assert config.refresh().users == first.users


def test_a_file_that_is_gone_leaves_what_was_read(folder: Path) -> None:
    path = write_web_config(folder, TLS)
    config = WebConfig(path)
    first = config.refresh()
    path.unlink()
    assert config.refresh() is first
