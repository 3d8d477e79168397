"""How agents that are protected by a `web_config_file` are asked: whose certificates are trusted, and the password."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path

from collector.client_tls import client_context
from collector.errors import ConfigError
from collector.secretfile import read_secret


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
        ConfigError: `top.access` for half a login, `config.tls` for a bad certificate, `secrets.*` for a bad password
            file or key.
    """
    if (settings.username is None) != (settings.password_file is None):
        raise ConfigError("top.access", "[top] username and password_file belong together", "give both or none")
    authorization = None
    if settings.username is not None and settings.password_file is not None:
        login = f"{settings.username}:{read_secret(settings.password_file, 'top.password_file')}"
        authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
    return Access(context=client_context(settings, "[top]"), authorization=authorization)
