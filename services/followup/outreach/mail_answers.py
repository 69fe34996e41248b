"""What the mail server's answers mean (RFC 5321, section 4.2.1): the message waits, or it ends and a person calls.

It ends only where this recipient or this message is refused for good. What refuses us, our login, our sender or our encryption, would
refuse every message: those wait, and the operator is told, for a call by a person for each patient mends nothing.
"""

import ssl

import aiosmtplib

from services.followup.outreach.rules import NotSent, Waits

_PERMANENT = 500
"""Replies from here on are final."""
_LOGIN = frozenset({530, 534, 535, 538})
"""RFC 4954, section 6: log in first, or log in otherwise; said to whatever command came."""


def read_answer(failure: Exception) -> Waits | NotSent:
    """The meaning of what the mail library raised. The order counts: its classes inherit from each other and from OSError."""
    if isinstance(failure, aiosmtplib.SMTPRecipientsRefused):
        return _of_recipient(failure)
    if isinstance(failure, aiosmtplib.SMTPNotSupported):
        return NotSent.ADDRESS_NOT_DELIVERABLE  # SMTPUTF8, which an address asks for
    if isinstance(failure, aiosmtplib.SMTPResponseException):
        return _of_reply(failure)
    if isinstance(failure, ssl.SSLError) or isinstance(failure.__cause__, ssl.SSLError):
        return Waits.TLS_REFUSED
    if type(failure) is aiosmtplib.SMTPException:
        return Waits.NOT_OFFERED  # STARTTLS or AUTH, which the library asks for as the settings say
    return Waits.MAIL_SERVER_AWAY


def _of_recipient(failure: aiosmtplib.SMTPRecipientsRefused) -> Waits | NotSent:
    codes = [recipient.code for recipient in failure.recipients]
    if _LOGIN.intersection(codes):
        return Waits.LOGIN_REFUSED
    return NotSent.ADDRESS_REFUSED if min(codes) >= _PERMANENT else Waits.MAILBOX_BUSY


def _of_reply(failure: aiosmtplib.SMTPResponseException) -> Waits | NotSent:
    if isinstance(failure, aiosmtplib.SMTPAuthenticationError):
        return Waits.LOGIN_REFUSED if failure.code >= _PERMANENT else Waits.SERVER_BUSY
    if failure.code in _LOGIN:
        return Waits.LOGIN_REFUSED
    if failure.code < _PERMANENT:
        return Waits.SERVER_BUSY
    if isinstance(failure, aiosmtplib.SMTPDataError):
        return NotSent.MESSAGE_REFUSED
    return Waits.SENDER_REFUSED if isinstance(failure, aiosmtplib.SMTPSenderRefused) else Waits.SERVER_REFUSES
