from pathlib import Path

from tests.conftest import LONGEST

TESTS = Path(__file__).parents[1]


def test_the_files_that_are_handed_out_first_are_there() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
