import asyncio
import email
import json
from collections.abc import AsyncIterator
from email.message import Message as Mail
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.followup.outreach.channels import AddressRefused, ChannelAway, FileChannel, Outgoing, SmtpChannel

MESSAGE = Outgoing(
    message_id=UUID("6f2dd6b8-3df1-4a16-9b3f-27a3e2f5a0c1"),
    channel="email",
    address="patient@example.org",
    language="en",
    sender_name="North Street Office, Söder",
    subject="You have a form to complete",
    text="North Street Office: you have a short form to complete.\n\nhttps://care.test/c/token\n",
    link="https://care.test/c/token",
)


class Mailbox:
    """A mail server's memory, which can refuse."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.recipient_answer: str | None = None
        self.data_answer: str | None = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient_answer is None:
            envelope.rcpt_tos.append(address)
        return self.recipient_answer or "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.data_answer is None:
            assert isinstance(envelope.content, bytes)
            self.mails.append(email.message_from_bytes(envelope.content))
        return self.data_answer or "250 OK"


@pytest_asyncio.fixture(loop_scope="session")
async def mailbox(unused_tcp_port: int) -> AsyncIterator[tuple[Mailbox, SmtpChannel]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=unused_tcp_port)
    await asyncio.to_thread(controller.start)
    yield box, SmtpChannel("127.0.0.1", unused_tcp_port, "forms@care.test", tls="none", timeout_seconds=5)
    await asyncio.to_thread(controller.stop)


async def test_a_mail_carries_the_neutral_name_one_link_and_a_fixed_message_id(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, channel = mailbox
    await channel.send(MESSAGE)
    await channel.send(MESSAGE)
    first, second = box.mails
    assert first["Message-ID"] == second["Message-ID"] == f"<{MESSAGE.message_id}@care.test>"
    assert "forms@care.test" in first["From"]
    assert first["To"] == "patient@example.org"
    assert first["Subject"] == "You have a form to complete"
    assert first["Auto-Submitted"] == "auto-generated"
    assert "https://care.test/c/token" in str(first.get_payload())


@pytest.mark.parametrize("answer", ["550 no such user", "553 not allowed"])
async def test_an_address_that_the_server_refuses_for_good_is_refused(mailbox: tuple[Mailbox, SmtpChannel], answer: str) -> None:
    box, channel = mailbox
    box.recipient_answer = answer
    with pytest.raises(AddressRefused):
        await channel.send(MESSAGE)


async def test_a_message_that_the_server_refuses_for_good_is_refused(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, channel = mailbox
    box.data_answer = "554 refused"
    with pytest.raises(AddressRefused):
        await channel.send(MESSAGE)


@pytest.mark.parametrize("where", ["recipient_answer", "data_answer"])
async def test_a_server_that_is_busy_is_away(mailbox: tuple[Mailbox, SmtpChannel], where: str) -> None:
    box, channel = mailbox
    setattr(box, where, "451 try later")
    with pytest.raises(ChannelAway):
        await channel.send(MESSAGE)


async def test_a_server_that_is_not_there_is_away(unused_tcp_port: int) -> None:
    with pytest.raises(ChannelAway):
        await SmtpChannel("127.0.0.1", unused_tcp_port, "forms@care.test", tls="none", timeout_seconds=5).send(MESSAGE)


async def test_a_server_without_the_encryption_that_is_asked_for_is_away(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, channel = mailbox
    with pytest.raises(ChannelAway):
        await SmtpChannel(channel.host, channel.port, channel.sender, timeout_seconds=5).send(MESSAGE)
    assert box.mails == []


@pytest.mark.parametrize("address", ["a@example.org\r\nBcc: b@example.org", "a@example.org\nb@example.org"])
async def test_a_line_break_in_an_address_makes_no_second_header(mailbox: tuple[Mailbox, SmtpChannel], address: str) -> None:
    box, channel = mailbox
    with pytest.raises(AddressRefused):
        await channel.send(Outgoing(**{**{name: getattr(MESSAGE, name) for name in MESSAGE.__slots__}, "address": address}))
    assert box.mails == []


async def test_the_folder_has_one_complete_file_per_message_for_the_owner_only(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "outbox")
    await asyncio.gather(*(channel.send(MESSAGE) for _ in range(5)))
    (path,) = (tmp_path / "outbox").iterdir()
    assert path.name == f"{MESSAGE.message_id}.json"
    assert path.stat().st_mode & 0o077 == 0
    content = json.loads(path.read_bytes())
    assert set(content) == {"message_id", "channel", "to", "language", "from", "subject", "text", "link", "path", "written_at"}
    assert content["path"] == "/c/token"


async def test_a_folder_that_cannot_be_written_is_away(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("not a folder")
    with pytest.raises(ChannelAway):
        await FileChannel(tmp_path / "outbox").send(MESSAGE)
