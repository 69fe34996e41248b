"""From where a request comes: believed of our own edge only, and unknown rather than guessed."""

import pytest
from fastapi import Request

from shared.web.addresses import client_address


def came(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request({"type": "http", "client": (peer, 1) if peer else None, "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("8.8.8.8", ("1.1.1.1",), "8.8.8.8"),
        ("127.0.0.1", ("1.1.1.1",), "1.1.1.1"),
        ("172.18.0.5", ("6.6.6.6, 1.1.1.1",), "1.1.1.1"),
        ("::1", ("2606:4700:1:2:3:4:5:6",), "2606:4700:1:2::/64"),
        ("2606:4700:1:2:ffff::1", (), "2606:4700:1:2::/64"),
        ("::ffff:8.8.8.8", (), "8.8.8.8"),
        ("172.18.0.5", ("6.6.6.6, 1.1.1.1, 172.18.0.1",), "1.1.1.1"),
        ("172.18.0.5", ("192.168.1.7",), None),
        ("127.0.0.1", (), None),
        ("127.0.0.1", ("somebody",), None),
        ("127.0.0.1", ("1.1.1.1, ",), None),
        ("testclient", (), None),
        (None, (), None),
    ],
)
def test_an_address_is_the_peers_or_what_our_edge_says(peer: str | None, forwarded: tuple[str, ...], address: str | None) -> None:
    assert client_address(came(peer, *forwarded)) == address
