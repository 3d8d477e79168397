"""Addresses of HTTP servers, as settings and arguments name them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_url(text: str) -> SplitResult:
    """The parts of an `http` or `https` address; host and port can be asked for without an error.

    Raises:
        ValueError: it is none, or holds a user or a password: it is shown in logs and labels.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("no http or https address; write for example http://server:8086")
    if "@" in parts.netloc:
        raise ValueError("a password doesn't belong into an address; there is a file for it")
    _ = parts.port  # a ValueError where it is no port
    return parts


def check_url(text: str) -> str:
    """The address itself.

    Raises:
        ValueError: as `split_url`.
    """
    split_url(text)
    return text
