"""The parser by itself: what it takes, and with which code it refuses the rest."""

from decimal import Decimal

import pytest

from shared.errors import DomainError
from shared.web.strict_json import Document, parse

DEEP = b"[" * 17 + b"]" * 17
REFUSED = [
    (b"", "body-required"),
    (b'\xef\xbb\xbf{"a": 1}', "not-utf8"),
    ('{"a": 1}'.encode("utf-16"), "not-utf8"),
    ('{"a": 1}'.encode("utf-16-le"), "not-utf8"),
    ('{"a": 1}'.encode("utf-32"), "not-utf8"),
    (b'{"a": "\xff"}', "not-utf8"),
    (b'{"a": "\xed\xa0\x80"}', "not-utf8"),
    (b'{"a": "\xc0\xaf"}', "not-utf8"),
    (b'{"a": "\x00"}', "not-utf8"),
    (b"{", "json-malformed"),
    (b"   ", "json-malformed"),
    (b"{'a': 1}", "json-malformed"),
    (b'{"a": 1,}', "json-malformed"),
    (b'{"a": 01}', "json-malformed"),
    (b'{"a": +1}', "json-malformed"),
    (b'{"a": "line\nbreak"}', "json-malformed"),
    (b'{"a": 1} {"a": 2}', "json-malformed"),
    (b'{"a": 1}x', "json-malformed"),
    (b'{"a": 1, "a": 2}', "json-duplicate-key"),
    (b'{"b": {"a": 1, "\\u0061": 2}}', "json-duplicate-key"),
    (b'[{"a": 1, "a": 1}]', "json-duplicate-key"),
    (b'{"a": NaN}', "json-non-finite"),
    (b'{"a": Infinity}', "json-non-finite"),
    (b'{"a": -Infinity}', "json-non-finite"),
    (b'{"a": 1e999}', "json-non-finite"),
    (b'{"a": -1e999}', "json-non-finite"),
    (b'{"a": 1e-999}', "json-non-finite"),
    (b'{"a": ' + b"1" * 33 + b"}", "json-number-too-long"),
    (b'{"a": 0.' + b"1" * 31 + b"}", "json-number-too-long"),
    (b'{"a": -' + b"1" * 5000 + b"}", "json-number-too-long"),
    (b'{"a": 1_0}', "json-malformed"),
    (b'{"a": 5.}', "json-malformed"),
    (b'{"a": .5}', "json-malformed"),
    ('{"a": \uff15}'.encode(), "json-malformed"),
    (b'{"a": 1e2}', "json-number-exponent"),
    (b'{"a": 4E1}', "json-number-exponent"),
    (b'{"a": 5e-1}', "json-number-exponent"),
    (b'{"a": 6.' + b"0" * 27 + b"1}", "json-number-too-precise"),
    (b'{"a": 0.12345678901234567891}', "json-number-too-precise"),
    (DEEP, "json-too-deep"),
    (b"[" * 60_000, "json-too-deep"),
    (b'{"a":' * 17 + b"1" + b"}" * 17, "json-too-deep"),
    (b'{"a": "\\ud800"}', "text-not-allowed"),
    (b'{"\\udfff": 1}', "text-not-allowed"),
    (b'["\\udc00\\ud800"]', "text-not-allowed"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED, ids=[f"{number}-{code}" for number, (_, code) in enumerate(REFUSED)])
def test_what_two_parsers_could_read_differently_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse(body)
    assert refused.value.code == code
    assert refused.value.status == (422 if code == "text-not-allowed" else 400)


def test_fractions_are_exact() -> None:
    assert parse(b'{"a": 0.1, "b": -4.5, "c": 36.60}') == {"a": Decimal("0.1"), "b": Decimal("-4.5"), "c": Decimal("36.60")}


def test_whole_numbers_are_exact() -> None:
    assert parse(b"[12345678901234567890123456789012, -0]") == [12345678901234567890123456789012, 0]


def test_an_object_keeps_the_text_it_was_read_from() -> None:
    document = parse('{"a": "Zoë 🫶 \\ud83e\\udef6"}'.encode())
    assert isinstance(document, Document)
    assert document == {"a": "Zoë 🫶 🫶"}
    assert document.text == '{"a": "Zoë 🫶 \\ud83e\\udef6"}'


def test_sixteen_levels_are_not_too_deep() -> None:
    assert parse(b"[" * 16 + b"]" * 16)


def test_brackets_within_texts_are_not_levels() -> None:
    assert parse(b'{"a": "' + b"[" * 100 + b'\\"{{{"}')


@pytest.mark.parametrize(("body", "value"), [(b"null", None), (b"[]", []), (b'"x"', "x"), (b" 5 ", 5), (b"false", False)])
def test_a_document_need_not_be_an_object(body: bytes, value: object) -> None:
    assert parse(body) == value
