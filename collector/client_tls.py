"""TLS as a client: whose certificates are trusted, and the certificate that is shown."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from collector.errors import ConfigError
from collector.secretfile import check_owner_only


class TlsFiles(Protocol):
    """The settings of a section, in telegraf's words; without `tls_ca` the system's authorities count."""

    @property
    def tls_ca(self) -> Path | None:
        """Certificates of the authorities."""
        ...

    @property
    def tls_cert(self) -> Path | None:
        """Our own certificate."""
        ...

    @property
    def tls_key(self) -> Path | None:
        """The key of that certificate, of mode 0600."""
        ...


def client_context(files: TlsFiles, section: str) -> ssl.SSLContext:
    """What a connection takes along; errors name the `section` of the configuration.

    Raises:
        ConfigError: `config.tls`, a file that can't be used, or half a pair; `secrets.unreadable` and `secrets.mode`, a
            key that isn't there or that others can read.
    """
    if (files.tls_cert is None) != (files.tls_key is None):
        raise ConfigError("config.tls", f"{section} tls_cert and tls_key belong together", "give both or none")
    setting = "tls_ca"
    try:
        context = ssl.create_default_context(cafile=files.tls_ca)
        if files.tls_cert is not None and files.tls_key is not None:
            setting = "tls_cert"
            check_owner_only(files.tls_key, f"{section} tls_key")
            context.load_cert_chain(files.tls_cert, files.tls_key, password="")  # or it would ask at the terminal
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise ConfigError(
            "config.tls",
            f"{section} {setting} {getattr(files, setting)}: {reason}",
            "name PEM files that belong together, the key without a passphrase",
        ) from error
    return context
