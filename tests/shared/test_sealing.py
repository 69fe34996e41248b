"""What is sealed opens for the same secret, purpose and place, and is nothing else to anybody."""

import pytest

from shared.sealing import Box

SECRET, PURPOSE, PLACE = b"a secret of thirty-two characters", b"a purpose", b"a place"


def test_what_is_sealed_opens_at_its_place() -> None:
    box = Box(SECRET, PURPOSE)
    assert box.opened(box.sealed(b"content", PLACE), PLACE) == b"content"
    assert box.opened_text(box.sealed_text(b"content", PLACE), PLACE) == b"content"


@pytest.mark.parametrize(
    ("secret", "purpose", "place"), [(b"another secret", PURPOSE, PLACE), (SECRET, b"another", PLACE), (SECRET, PURPOSE, b"another")]
)
def test_it_opens_for_no_other_secret_purpose_or_place(secret: bytes, purpose: bytes, place: bytes) -> None:
    assert Box(secret, purpose).opened(Box(SECRET, PURPOSE).sealed(b"content", PLACE), place) is None


@pytest.mark.parametrize("text", ["", "a", "\u00e4", "!!!!", "A" * 15, "A" * 200])
def test_text_that_was_not_sealed_here_opens_as_nothing(text: str) -> None:
    assert Box(SECRET, PURPOSE).opened_text(text, PLACE) is None


def test_another_way_to_write_the_same_bytes_opens_as_nothing() -> None:
    box = Box(SECRET, PURPOSE)
    text = box.sealed_text(b"content", PLACE)
    assert box.opened_text(text + "=", PLACE) is None
    assert box.opened_text(text[:4] + "\n" + text[4:], PLACE) is None
