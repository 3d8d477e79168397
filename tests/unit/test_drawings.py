from tests.drawings.place import PICTURE, draw, words


def test_the_picture_of_place_says_what_the_scheduler_says_today() -> None:
    assert words(PICTURE.read_text()) == words(draw()), "draw it again: python -m tests.drawings.place"
