"""Whatever arrives in place of a good body, it is read or refused; nothing else can happen."""

import json
import random
from collections import Counter
from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.errors import DomainError
from shared.web.strict_json import parse
from tests.shared.web.client import note
from tests.shared.web.tiny import NewNote

ADAPTER = TypeAdapter(NewNote)
PIECES = [b'"', b"\\", b"\\u", b"\\ud800", b"{", b"[", b"}", b"]", b",", b":", b"-", b"e", b"E999", b"0", b"9" * 40, b".", b"NaN", b"null"]
PIECES += [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u202e".encode(),
    "\u0301".encode() * 20,
    b"true",
    b"1e400",
    b"[" * 40,
    b" ",
]
GOOD = json.dumps(note(places=[{"room": 1, "floor": 2}], scores={"a": 1}, remark="r", count=3, ratio=0.5, born_on="1980-02-29")).encode()


def mutated(generator: random.Random) -> bytes:
    """A good body after one to four accidents."""
    body = bytearray(GOOD)
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(body) + 1)
        end = min(len(body), start + generator.choice((0, 0, 1, 2, 30)))
        body[start:end] = generator.choice(PIECES) if generator.random() < 0.7 else bytes([generator.randrange(256)])
    return bytes(body)


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_body_is_read_or_refused(seed: int) -> None:
    generator = random.Random(seed)
    outcomes = Counter(outcome(mutated(generator)) for _ in range(5_000))
    assert set(outcomes) == {"read", "400", "422", "invalid"}, outcomes


def outcome(body: bytes) -> str:
    """What became of a body; any other exception fails the test."""
    try:
        read = ADAPTER.validate_python(parse(body))
    except DomainError as refused:
        return str(refused.status)
    except ValidationError:
        return "invalid"
    assert 0 < read.dose_mg <= Decimal(200)
    assert "\x00" not in read.title
    assert read.seen_at.utcoffset() is not None
    return "read"
