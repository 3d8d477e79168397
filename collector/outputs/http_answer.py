"""What an HTTP answer means for the delivery."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from http import HTTPStatus

from collector.outputs.sink import OutputError
from collector.quantities import Seconds

# Answers that say that the batch is bad. All others are about the endpoint or its settings (a wrong token, a missing
# bucket): there every batch would be refused alike, and giving them up one by one would lose all without any gain.
_BAD_BATCH = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
_ANSWER_LIMIT = 200  # characters of the server's words in a message


def refused(
    url: str,
    status: int,
    words: str,
    headers: Mapping[str, str] | None = None,
    remedies: Mapping[int, str] | None = None,
) -> OutputError:
    """An answer other than 2xx; `words` is what the server says to it, `remedies` what helps, by status."""
    retry_after = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), None)
    return OutputError(
        f"{url}: answered {status}: {_one_line(words)}",
        (remedies or {}).get(status, ""),
        retryable=status not in _BAD_BATCH,
        retry_after=parse_retry_after(retry_after, time.time()) if retry_after else None,
    )


def unanswered(url: str, error: Exception) -> OutputError:
    """No answer at all."""
    return OutputError(
        f"{url}: no answer: {_one_line(str(error))}", "check that it runs and urls name it", retryable=True
    )


def parse_retry_after(text: str, now: float) -> Seconds | None:
    """Seconds of a `Retry-After`, which is a number of them or a date (RFC 9110, 10.2.3); None if it is neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - now, 0.0)
    except ValueError:
        return None


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_LIMIT else line[:_ANSWER_LIMIT] + "..."
