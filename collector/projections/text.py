"""Label values as text that can be sent: what the kernel gives need not be Unicode."""

from __future__ import annotations


def well_formed(text: str) -> str:
    r"""The text with undecodable bytes spelled out (`\udc80`), so that it can be encoded as UTF-8.

    Paths come from the kernel as bytes and Python keeps the undecodable ones as lone surrogates. One such label would
    make Prometheus refuse the whole scrape. Spelled out, two different paths stay different.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
