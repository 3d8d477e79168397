import pytest

from collector.projections.prometheus import TextFormat
from collector.web.negotiation import accepts_gzip, choose_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT_FIRST = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        "application/openmetrics-text",
        "Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8",
        'application/openmetrics-text; version="1.0.0", text/plain',
        "text/plain;q=0.3, application/openmetrics-text;q=0.4",
    ],
)
def test_openmetrics_goes_to_who_wants_it_most(accept: str) -> None:
    assert choose_format(accept) is TextFormat.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        BROWSER,
        PROMETHEUS_3_TEXT_FIRST,
        "text/plain, application/openmetrics-text",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0, */*",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=much",
        "application/openmetrics-text;q=nan",
        "application/json",
        ";;,,=;q",
    ],
)
def test_everybody_else_gets_text(accept: str) -> None:
    assert choose_format(accept) is TextFormat.PROMETHEUS


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.8", True),
        ("gzip; q=0.001", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("deflate", False),
        ("", False),
    ],
)
def test_gzip(header: str, accepted: bool) -> None:  # noqa: FBT001 - a parameter of the cases
    assert accepts_gzip(header) is accepted
