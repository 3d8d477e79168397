"""What a client of `/metrics` takes: format by `Accept`, compression by `Accept-Encoding` (RFC 9110, section 12.5).

Prometheus 2 asks for OpenMetrics before text; Prometheus 3 also names escaping schemes, which change nothing here: all
our names are plain. Of equal weights the first named one counts, as in Prometheus' own libraries. Who takes neither
format gets text, as there, because a scrape that is answered in text is worth more than a 406.
"""

from __future__ import annotations

from collections.abc import Iterator

from collector.projections.prometheus import TextFormat

_VERSIONS = {
    "application/openmetrics-text": (TextFormat.OPENMETRICS, "1.0.0"),
    "text/plain": (TextFormat.PROMETHEUS, "0.0.4"),
    "text/*": (TextFormat.PROMETHEUS, ""),
    "*/*": (TextFormat.PROMETHEUS, ""),
}


def choose_format(accept: str) -> TextFormat:
    """The format that a client wants most."""
    chosen, most = TextFormat.PROMETHEUS, 0.0
    for media_type, parameters in _items(accept):
        known = _VERSIONS.get(media_type)
        if known is not None and parameters.get("version", known[1]) == known[1]:
            weight = _weight(parameters)
            if weight > most:
                chosen, most = known[0], weight
    return chosen


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip: named, and not forbidden (`gzip;q=0`)."""
    return any(coding == "gzip" and _weight(parameters) > 0 for coding, parameters in _items(accept_encoding))


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for item in header.split(","):
        value, *parameters = (part.strip().lower() for part in item.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        yield value, {name.strip(): text.strip().strip('"') for name, _, text in pairs}


def _weight(parameters: dict[str, str]) -> float:
    """0 to 1; what is no such number forbids."""
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
