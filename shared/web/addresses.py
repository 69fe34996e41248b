"""From where a request comes, as far as that can be known."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from fastapi import Request


def client_address(request: Request) -> str | None:
    """The address of whoever sent the request, or None where it cannot be told from another's.

    Our gateway, and an edge on this machine or network, add whom they were called by to ``X-Forwarded-For``: of those the last that is
    no private address counts, and what a stranger wrote there does not. IPv6 counts by its /64, which one subscriber has whole.
    """
    forwarded = request.headers.get("x-forwarded-for", "").split(",")
    for text in (request.client.host if request.client else "", *reversed(forwarded)):
        address = _read(text.strip())
        if address is None:
            return None
        if not address.is_private:
            return _grouped(address)
    return None


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _grouped(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if isinstance(address, IPv4Address) or mapped is not None:
        return str(mapped or address)
    return str(IPv6Network((int(address), 64), strict=False))
