"""Ways out: what carries a message to a patient. A channel may be asked for the same message twice.

The file channel then has it once. SMTP cannot promise that: a repeated message carries the same Message-ID and the same link, so that
mail servers and people see that it is one.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

import aiosmtplib
import orjson

from services.followup.outreach.mail_answers import read_answer
from services.followup.outreach.rules import NotSent, Waits
from shared.mail_address import NotDeliverable, delivered_form


class ChannelAway(Exception):
    """The message was not taken now; it may be tried again."""

    def __init__(self, reason: Waits = Waits.CHANNEL_AWAY) -> None:
        super().__init__(reason)
        self.reason = reason


class AddressRefused(Exception):
    """This message will never be taken for this address."""

    def __init__(self, reason: NotSent = NotSent.ADDRESS_REFUSED) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it leaves. It exists only for the moment of sending."""

    message_id: UUID
    channel: str
    address: str
    language: str
    sender_name: str
    subject: str
    text: str
    link: str


class Channel(Protocol):
    """Hands one message over. Raises ChannelAway or AddressRefused."""

    async def send(self, message: Outgoing) -> None: ...


@dataclass(frozen=True)
class SmtpChannel:
    """E-mail through one submission server. ``sender`` is the address that messages come from."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = None
    tls: str = "starttls"
    """``starttls``, ``implicit`` or ``none`` (only for a server on this machine)."""
    timeout_seconds: float = 10.0

    async def send(self, message: Outgoing) -> None:
        try:
            await aiosmtplib.send(
                self._mail(message),
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.tls == "implicit",
                start_tls=self.tls == "starttls",
                timeout=self.timeout_seconds,
            )
        except (aiosmtplib.SMTPException, OSError) as failure:
            answer = read_answer(failure)
            raise (AddressRefused(answer) if isinstance(answer, NotSent) else ChannelAway(answer)) from failure

    def _mail(self, message: Outgoing) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = formataddr((message.sender_name, self.sender))
        try:
            mail["To"] = delivered_form(message.address)
        except NotDeliverable as not_an_address:
            raise AddressRefused(NotSent.ADDRESS_NOT_DELIVERABLE) from not_an_address
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{message.message_id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = message.language
        mail.set_content(message.text)
        return mail


@dataclass(frozen=True)
class FileChannel:
    """A folder in place of a network: one JSON file per message, named by its id, complete from the moment it is there."""

    folder: Path

    async def send(self, message: Outgoing) -> None:
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as away:
            raise ChannelAway from away

    def _write(self, message: Outgoing) -> None:
        target = self.folder / f"{message.message_id}.json"
        if target.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(dir=self.folder, prefix=".draft-", delete=False) as draft:  # readable by its owner only
            draft.write(orjson.dumps({**_fields(message), "written_at": datetime.now(UTC)}, option=orjson.OPT_INDENT_2))
        Path(draft.name).replace(target)


def _fields(message: Outgoing) -> dict[str, str]:
    return {
        "message_id": str(message.message_id),
        "channel": message.channel,
        "to": message.address,
        "language": message.language,
        "from": message.sender_name,
        "subject": message.subject,
        "text": message.text,
        "link": message.link,
        "path": urlsplit(message.link).path,
    }
