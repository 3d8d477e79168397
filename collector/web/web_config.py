"""TLS and users of a web server: the exporter-toolkit's web configuration file (docs/web-configuration.md there).

Taken are `tls_server_config` with `cert_file`, `key_file`, `client_ca_file`, `client_auth_type` and `min_version`, and
`basic_auth_users`. Any other key is refused: it may stand for a protection that would then be missing. Relative paths
start at the folder of the file. The files are looked at anew with each connection, so a renewed certificate or a new
password needs no restart.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from collector.clock import Clock
from collector.errors import ConfigError
from collector.quantities import Seconds
from collector.secretfile import check_owner_only

logger = logging.getLogger(__name__)

RETRY_EVERY: Seconds = 5.0  # while the files are not as they should be
_MOST_COST = 14  # a second of CPU for one comparison
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_SHORT_MESSAGES = {"extra_forbidden": "unknown key", "missing": "is missing"}


class ClientAuth(StrEnum):
    """Go's words (crypto/tls, ClientAuthType); those that don't verify a certificate are not offered."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


class MinVersion(StrEnum):
    """Of TLS; older ones are broken."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"


_VERIFY_MODES = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(_Section):
    """`tls_server_config`."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: ClientAuth = ClientAuth.NONE
    min_version: MinVersion = MinVersion.TLS12

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Certificate, key and, where it is given, the authority of the clients."""
        named = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(folder / name for name in named if name is not None)


class _Document(_Section):
    tls_server_config: TlsSettings | None = None
    basic_auth_users: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Protection:
    """What the file asks for.

    Attributes:
        tls: None for plain HTTP.
        users: bcrypt hashes by name; empty where nobody is asked.
        files: all that it was read from.
    """

    tls: ssl.SSLContext | None
    users: Mapping[str, bytes]
    files: tuple[Path, ...]


class WebConfig:
    """The protection that a file asks for, read again when a file changes.

    What is wrong later leaves the last good one in force, and so does a file that would take TLS or the passwords away:
    it may be half written.

    Raises:
        ConfigError: the file can't be used as it stands.
    """

    def __init__(self, path: Path, monotonic: Clock = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self.protection = load_protection(path)
        self._seen = _signature(self.protection.files)
        self._retry_at = float("-inf")
        self._complaint = ""

    def refresh(self) -> Protection:
        """The protection for the next connection. Called from one thread."""
        if _signature(self.protection.files) == self._seen and not self._complaint:
            return self.protection
        now = self._monotonic()
        if now >= self._retry_at:
            try:
                self._take(load_protection(self._path))
            except ConfigError as error:
                self._retry_at = now + RETRY_EVERY
                if str(error) != self._complaint:
                    logger.warning("the web configuration read before stays in force: %s", error)
                self._complaint = str(error)
        return self.protection

    def _take(self, fresh: Protection) -> None:
        if (self.protection.tls and not fresh.tls) or (self.protection.users and not fresh.users):
            raise ConfigError("web_config.weaker", f"{self._path} takes TLS or all users away", "restart the program")
        self.protection, self._seen, self._complaint = fresh, _signature(fresh.files), ""
        logger.info("%s: read again", self._path)


def load_protection(path: Path) -> Protection:
    """Read the file, and the certificates that it names.

    Raises:
        ConfigError: unreadable, a key or value that can't be used, a key file or hashes that others may read.
    """
    document = _parse(path)
    if document.tls_server_config is None and not document.basic_auth_users:
        raise _unusable(path, "has neither tls_server_config nor basic_auth_users", "fill it, or don't name it")
    users = {name: _hash(path, name, text) for name, text in document.basic_auth_users.items()}
    if users:
        check_owner_only(path, "web_config_file")
    tls = document.tls_server_config
    if tls is None:
        return Protection(None, users, (path,))
    return Protection(_context(path, tls), users, (path, *tls.files(path.parent)))


def _parse(path: Path) -> _Document:
    try:
        return _Document.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise _unusable(path, f"can't be read: {error.strerror}", "check web_config_file") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        text = f"{where}: {_SHORT_MESSAGES.get(first['type'], first['msg'])}"
        raise _unusable(path, text, "docs of the exporter-toolkit: web-configuration.md") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that is none, no UTF-8
        raise _unusable(path, f"is not YAML: {' '.join(str(error).split())}", "mend it") from error


def _hash(path: Path, name: str, text: str) -> bytes:
    match = _BCRYPT.fullmatch(text)
    if not match:
        raise _unusable(path, f"the password of {name!r} is no bcrypt hash", "make one with: htpasswd -nBC 10 NAME")
    if int(match[1]) > _MOST_COST:
        raise _unusable(path, f"the hash of {name!r} has cost {int(match[1])}", f"take {_MOST_COST} at the most")
    return text.encode()


def _context(path: Path, tls: TlsSettings) -> ssl.SSLContext:
    if (tls.client_ca_file is None) != (tls.client_auth_type is ClientAuth.NONE):
        raise _unusable(path, "client_ca_file and client_auth_type need each other", f"{ClientAuth.REQUIRED} is usual")
    certificate, key, *authority = tls.files(path.parent)
    check_owner_only(key, "key_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.verify_mode = _VERIFY_MODES[tls.client_auth_type]
    try:
        context.load_cert_chain(certificate, key, password="")  # or it would ask at the terminal
        for file in authority:
            context.load_verify_locations(file)
    except OSError as error:  # ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror
        files = ", ".join(map(str, (certificate, key, *authority)))
        raise ConfigError("web_config.tls", f"{files}: {reason}", "they must be PEM and belong together") from error
    return context


def _signature(files: Iterable[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    return tuple(map(_version, files))


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _unusable(path: Path, text: str, remedy: str) -> ConfigError:
    return ConfigError("web_config.invalid", f"{path} {text}", remedy)
