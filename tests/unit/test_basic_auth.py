import base64
import threading

import bcrypt
import pytest

from collector.web.basic_auth import (
    CLIENT_WAIT,
    MOST_CLIENTS,
    MOST_VERDICTS,
    REST,
    BasicAuth,
    Verdict,
    bcrypt_compare,
    parse_credentials,
)

USERS = {"prometheus": b"the hash"}
COST = 0.05  # seconds of one comparison here


class Comparisons:
    """Stands for bcrypt: counts, takes its time on a clock of its own, knows one password."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[bytes] = []

    def compare(self, password: bytes, hashed: bytes) -> bool:
        self.made.append(password)
        self.now += COST
        return (password, hashed) == (b"right", b"the hash")


@pytest.fixture
def comparisons() -> Comparisons:
    return Comparisons()


@pytest.fixture
def auth(comparisons: Comparisons) -> BasicAuth:
    return BasicAuth(comparisons.compare, lambda: comparisons.now)


def header(password: str, user: str = "prometheus") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_right_password_is_compared_once(auth: BasicAuth, comparisons: Comparisons) -> None:
    verdicts = [auth.judge(USERS, header("right"), "10.0.0.1") for _ in range(5)]
    assert verdicts == [Verdict.ALLOWED] * 5
    assert len(comparisons.made) == 1


def test_a_wrong_password_is_compared_once(auth: BasicAuth, comparisons: Comparisons) -> None:
    verdicts = [auth.judge(USERS, header("wrong"), "10.0.0.1") for _ in range(5)]
    assert verdicts == [Verdict.DENIED] * 5
    assert len(comparisons.made) == 1


def test_an_unknown_user_costs_a_comparison_and_never_gets_in(auth: BasicAuth, comparisons: Comparisons) -> None:
    assert auth.judge(USERS, header("right", user="root"), "10.0.0.1") is Verdict.DENIED
    assert len(comparisons.made) == 1


def test_a_changed_hash_asks_anew(auth: BasicAuth) -> None:
    assert auth.judge(USERS, header("right"), "10.0.0.1") is Verdict.ALLOWED
    assert auth.judge({"prometheus": b"another hash"}, header("right"), "10.0.0.1") is Verdict.DENIED


def test_one_client_may_guess_once_a_second(auth: BasicAuth, comparisons: Comparisons) -> None:
    verdicts = []
    for guess in range(100):
        verdicts.append(auth.judge(USERS, header(f"guess {guess}"), "10.0.0.1"))
        comparisons.now += CLIENT_WAIT / 10
    assert set(verdicts) == {Verdict.DENIED, Verdict.BUSY}
    assert len(comparisons.made) <= 11


def test_a_flood_from_everywhere_takes_a_tenth_of_a_core(auth: BasicAuth, comparisons: Comparisons) -> None:
    for guess in range(2000):
        auth.judge(USERS, header(f"guess {guess}"), f"10.0.{guess // 256}.{guess % 256}")
        comparisons.now += 0.001
    share = len(comparisons.made) * COST / comparisons.now
    assert 0.01 < share <= 1 / (REST + 1) + 0.05


def test_a_password_that_is_known_passes_through_a_flood(auth: BasicAuth, comparisons: Comparisons) -> None:
    assert auth.judge(USERS, header("right"), "10.0.0.1") is Verdict.ALLOWED
    for guess in range(50):
        auth.judge(USERS, header(f"guess {guess}"), f"10.1.0.{guess}")
        assert auth.judge(USERS, header("right"), "10.0.0.1") is Verdict.ALLOWED
    assert comparisons.made.count(b"right") == 1


def test_two_that_come_at_once_with_the_same_password_cost_one_comparison() -> None:
    entered, leave = threading.Event(), threading.Event()
    made: list[bytes] = []

    def compare(password: bytes, _: bytes) -> bool:
        made.append(password)
        entered.set()
        return leave.wait(10)

    auth = BasicAuth(compare)
    verdicts: list[Verdict] = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(auth.judge(USERS, header("right"), "10.0.0.1")))
        for _ in range(2)
    ]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(10)
    assert verdicts == [Verdict.ALLOWED] * 2
    assert len(made) == 1


def test_what_is_remembered_is_bounded(auth: BasicAuth, comparisons: Comparisons) -> None:
    for guess in range(MOST_CLIENTS + 50):
        comparisons.now += 10
        auth.judge(USERS, header(f"guess {guess}"), f"client {guess}")
    assert (len(auth._verdicts), len(auth._failures)) == (MOST_VERDICTS, MOST_CLIENTS)


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", "Bearer " + "eDp5", "Basic eA==", "Basic " + base64.b64encode(b"\xff:x").decode()],
)
def test_what_is_no_basic_header_is_denied_at_no_cost(
    auth: BasicAuth, comparisons: Comparisons, authorization: str
) -> None:
    assert auth.judge(USERS, authorization, "10.0.0.1") is Verdict.DENIED
    assert comparisons.made == []


def test_a_password_may_have_colons_and_umlauts() -> None:
    assert parse_credentials(header("a:b:ü")) == ("prometheus", "a:b:ü".encode())


def test_passwords_that_bcrypt_cannot_tell_apart_are_denied() -> None:
    hashed = {"prometheus": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    auth = BasicAuth()
    assert auth.judge(hashed, header("x" * 72), "10.0.0.1") is Verdict.ALLOWED
    assert auth.judge(hashed, header("x" * 73), "10.0.0.1") is Verdict.DENIED
    assert auth.judge(hashed, header("x" * 71 + "\0"), "10.0.0.1") is Verdict.DENIED


def test_hashes_of_htpasswd_are_understood() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).replace(b"$2b$", b"$2y$")
    assert bcrypt_compare(b"secret", hashed)
    assert not bcrypt_compare(b"Secret", hashed)
