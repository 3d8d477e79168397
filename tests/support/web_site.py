"""What a `web_config_file` names: a certificate with its key, and a user whose password is `secret`."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import trustme

HASH = bcrypt.hashpw(b"secret", b"$2b$04$" + b"." * 22).decode()  # the same in each process: test ids have it
USERS = f"basic_auth_users: {{prometheus: {HASH}}}\n"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"


def write_certificate(folder: Path, name: str = "localhost", authority: trustme.CA | None = None) -> trustme.CA:
    """A certificate for this name, of a new authority or that one: cert.pem, key.pem, ca.pem."""
    authority = authority or trustme.CA()
    certificate = authority.issue_cert(name)
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return authority


def write_web_config(folder: Path, text: str, mode: int = 0o600) -> Path:
    """The file itself."""
    path = folder / "web.yml"
    path.write_text(text)
    path.chmod(mode)
    return path
