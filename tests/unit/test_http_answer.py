import pytest

from collector.outputs.http_answer import parse_retry_after, refused, unanswered

URL = "http://far.example"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, True), (404, True), (408, True), (413, False), (422, False), (429, True), (503, True)],
)
def test_only_a_bad_batch_is_not_tried_again(status: int, retryable: bool) -> None:  # noqa: FBT001 - a parameter
    error = refused(URL, status, "some\nreason", remedies={status: "do this"})
    assert error.retryable is retryable
    assert str(error).startswith(f"{URL}: answered {status}: some reason")
    assert error.remedy == "do this"
    assert error.retry_after is None


def test_long_answers_are_cut() -> None:
    assert len(str(refused(URL, 400, "x" * 10_000))) < 300


def test_no_answer_may_be_tried_again() -> None:
    assert unanswered(URL, TimeoutError("timed out")).retryable


def test_the_server_may_say_when_to_come_back() -> None:
    assert refused(URL, 429, "slow", {"retry-after": "7"}).retry_after == 7
    assert refused(URL, 503, "slow", {"Retry-After": "soon"}).retry_after is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:16:30 GMT", 0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("Thu, 99 Jan 1970 00:16:30 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, now=1000.0) == seconds
