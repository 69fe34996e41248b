"""A mail address as it is delivered. Whoever takes an address and whoever sends to it ask here, so that both say the same."""

import re
from email.message import EmailMessage

from email_validator import EmailNotValidError, validate_email

MAX_CHARS = 254
"""Of the delivered form: RFC 5321, section 4.5.3.1.3, less the angle brackets."""

_ENCODED_WORD = re.compile(r"=\?.*\?=")
"""RFC 2047. Mail libraries decode it, so the message would go to another address than the one that was checked."""


class NotDeliverable(ValueError):
    """No mail server that takes plain ASCII addresses can be given this address."""


def delivered_form(address: str) -> str:
    """The address in ASCII, its domain in the ``xn--`` form where it needs one. Raises NotDeliverable.

    Judged by form alone: whether the domain takes mail is found out by sending, not by asking the network here.
    """
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError:
        raise NotDeliverable from None
    delivered = checked.ascii_email
    if delivered is None or len(delivered) > MAX_CHARS or _ENCODED_WORD.search(delivered) or not _written_as_it_is(delivered):
        raise NotDeliverable
    return delivered


def _written_as_it_is(address: str) -> bool:
    """Whether the library that writes our mail reads the one address that was given to it."""
    mail = EmailMessage()
    mail["To"] = address
    read = mail["To"]
    return not read.defects and [one.addr_spec for one in read.addresses] == [address]
