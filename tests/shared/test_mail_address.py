import pytest

from shared.mail_address import NotDeliverable, delivered_form


@pytest.mark.parametrize(
    ("typed", "delivered"),
    [
        ("rosalind@patients.example", "rosalind@patients.example"),
        ("Rosalind@PATIENTS.example", "Rosalind@patients.example"),
        ("rosalind@b\u00fccher.example", "rosalind@xn--bcher-kva.example"),
        ("rosalind@bu\u0308cher.example", "rosalind@xn--bcher-kva.example"),
        ("rosalind@xn--bcher-kva.example", "rosalind@xn--bcher-kva.example"),
        ("rosalind@fa\u00df.example", "rosalind@xn--fa-hia.example"),
        ("rosalind@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "rosalind@xn--e1afmkfd.xn--p1ai"),
        ("o'neil+clinic=1@a.b.example", "o'neil+clinic=1@a.b.example"),
    ],
)
def test_an_address_is_kept_in_the_form_that_is_delivered(typed: str, delivered: str) -> None:
    assert delivered_form(typed) == delivered
    assert delivered_form(delivered) == delivered


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "rosalind",
        "rosalind@",
        "@patients.example",
        "rosalind@localhost",
        "rosalind@[127.0.0.1]",
        "rosalind@1.2.3.4",
        '"a b"@patients.example',
        "Rosalind <rosalind@patients.example>",
        "a@patients.example, b@patients.example",
        "a@b@patients.example",
        "rosalind@patients.example\r\nBcc: x@patients.example",
        "ros\u00e9@patients.example",
        "rosalind\u3002b@patients.example",
        "=?utf-8?q?x?=@patients.example",
        "=?utf-8?b?eA==?=@patients.example",
        "=?x?=@patients.example",
        "a=?iso-8859-1?q?=62?=@patients.example",
        "rosalind@=?utf-8?q?x?=.example",
        "rosalind@\u2603.example",
        "rosalind@xn--zzzzzz.example",
        "rosalind@exa_mple.org",
        "rosalind@" + "\u00fc" * 60 + ".example",
        "r" * 65 + "@patients.example",
        "r" * 60 + "@" + ".".join(["d" * 60] * 3) + ".dddd" + ".example",
    ],
)
def test_what_cannot_be_delivered_is_no_address(typed: str) -> None:
    with pytest.raises(NotDeliverable):
        delivered_form(typed)
