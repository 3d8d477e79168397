"""How agents that are protected by a `web_config_file` are asked: whose certificates are trusted, and the password."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ConfigError
from collector.secretfile import check_owner_only, read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """How `vdbmon top` reaches agents that have a `web_config_file`.

    Attributes:
        tls_ca: certificate of the authority that signed the agents' own; None for those that the system trusts.
        tls_cert: our certificate, where the agents want to know who asks; `tls_key` (mode 0600) its key.
        username: as in `basic_auth_users` of the agents; None where they ask for none.
        password_file: file of mode 0600 that holds the password.
    """

    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    username: str | None = None
    password_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a connection to an agent takes along; nothing where agents are open to all."""

    context: ssl.SSLContext | None = None
    authorization: str | None = None


def open_access(settings: AccessSettings) -> Access:
    """Read the files.

    Raises:
        ConfigError: `top.access` for half a login or a bad certificate, `secrets.*` for a bad password file.
    """
    if (settings.username is None) != (settings.password_file is None):
        raise ConfigError("top.access", "[top] username and password_file belong together", "give both or none")
    authorization = None
    if settings.username is not None and settings.password_file is not None:
        login = f"{settings.username}:{read_secret(settings.password_file, 'top.password_file')}"
        authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
    return Access(context=_context(settings), authorization=authorization)


def _context(settings: AccessSettings) -> ssl.SSLContext:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("top.access", "[top] tls_cert and tls_key belong together", "give both or none")
    key = "tls_ca"
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert is not None and settings.tls_key is not None:
            key = "tls_cert"
            check_owner_only(settings.tls_key, "top.tls_key")
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        path, reason = getattr(settings, key), error.strerror or str(error)
        raise ConfigError("top.access", f"[top] {key} {path}: {reason}", "name a PEM file") from error
    return context
