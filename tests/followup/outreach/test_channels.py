import asyncio
import email
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import Message as Mail
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from services.followup.outreach.channels import AddressRefused, ChannelAway, FileChannel, Outgoing, SmtpChannel
from services.followup.outreach.rules import NotSent, Waits

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
        self.sender_answer: str | None = None

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.sender_answer or "250 OK"

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
    controller = Controller(box, hostname="127.0.0.1", port=unused_tcp_port, enable_SMTPUTF8=False)
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


async def refused(channel: SmtpChannel, **changed: str) -> Waits | NotSent:
    """What a try to send comes to that the channel does not take."""
    message = Outgoing(**{**{name: getattr(MESSAGE, name) for name in MESSAGE.__slots__}, **changed})
    try:
        await channel.send(message)
    except (AddressRefused, ChannelAway) as answer:
        return answer.reason
    raise AssertionError("it was taken")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("550 no such user", NotSent.ADDRESS_REFUSED),
        ("553 not allowed", NotSent.ADDRESS_REFUSED),
        ("552 mailbox full", NotSent.ADDRESS_REFUSED),
        ("450 greylisted", Waits.MAILBOX_BUSY),
        ("452 mailbox full", Waits.MAILBOX_BUSY),
        ("530 log in first", Waits.LOGIN_REFUSED),
    ],
)
async def test_what_is_said_of_the_recipient(mailbox: tuple[Mailbox, SmtpChannel], answer: str, meaning: Waits | NotSent) -> None:
    box, channel = mailbox
    box.recipient_answer = answer
    assert await refused(channel) is meaning


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [("554 refused", NotSent.MESSAGE_REFUSED), ("451 try later", Waits.SERVER_BUSY), ("530 log in first", Waits.LOGIN_REFUSED)],
)
async def test_what_is_said_of_the_message(mailbox: tuple[Mailbox, SmtpChannel], answer: str, meaning: Waits | NotSent) -> None:
    box, channel = mailbox
    box.data_answer = answer
    assert await refused(channel) is meaning


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("550 not from this address", Waits.SENDER_REFUSED),
        ("451 try later", Waits.SERVER_BUSY),
        ("530 log in first", Waits.LOGIN_REFUSED),
    ],
)
async def test_what_is_said_of_the_sender_ends_no_message(mailbox: tuple[Mailbox, SmtpChannel], answer: str, meaning: Waits) -> None:
    box, channel = mailbox
    box.sender_answer = answer
    assert await refused(channel) is meaning


@pytest.mark.parametrize(("greeting", "meaning"), [("554 blocked", Waits.SERVER_REFUSES), ("421 too busy", Waits.SERVER_BUSY)])
async def test_a_server_that_takes_nothing_from_us_is_waited_for(unused_tcp_port: int, greeting: str, meaning: Waits) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{greeting}\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", unused_tcp_port):
        assert await refused(SmtpChannel("127.0.0.1", unused_tcp_port, "forms@care.test", tls="none", timeout_seconds=5)) is meaning


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # of the server that plays the other side
async def test_a_refused_login_is_waited_for(unused_tcp_port: int) -> None:
    controller = Controller(
        Mailbox(), hostname="127.0.0.1", port=unused_tcp_port, authenticator=nobody, auth_require_tls=False, auth_required=True
    )
    await asyncio.to_thread(controller.start)
    channel = SmtpChannel("127.0.0.1", unused_tcp_port, "forms@care.test", "care", "wrong", tls="none", timeout_seconds=5)
    try:
        assert await refused(channel) is Waits.LOGIN_REFUSED
        assert await refused(replace(channel, username=None, password=None)) is Waits.LOGIN_REFUSED
    finally:
        await asyncio.to_thread(controller.stop)


def nobody(*_login: object) -> AuthResult:
    return AuthResult(success=False, handled=False)


async def test_a_server_that_is_not_there_is_away(unused_tcp_port: int) -> None:
    channel = SmtpChannel("127.0.0.1", unused_tcp_port, "forms@care.test", tls="none", timeout_seconds=5)
    assert await refused(channel) is Waits.MAIL_SERVER_AWAY


@pytest.mark.parametrize(("tls", "meaning"), [("starttls", Waits.NOT_OFFERED), ("implicit", Waits.TLS_REFUSED)])
async def test_without_the_encryption_that_is_asked_for_nothing_is_sent(
    mailbox: tuple[Mailbox, SmtpChannel], tls: str, meaning: Waits
) -> None:
    box, channel = mailbox
    assert await refused(replace(channel, tls=tls)) is meaning
    assert box.mails == []


async def test_a_login_that_the_server_does_not_offer_is_waited_for(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    _, channel = mailbox
    assert await refused(replace(channel, username="care", password="secret")) is Waits.NOT_OFFERED


async def test_an_internationalised_domain_is_sent_to_in_its_ascii_form_by_a_server_without_smtputf8(
    mailbox: tuple[Mailbox, SmtpChannel],
) -> None:
    box, channel = mailbox
    await channel.send(replace(MESSAGE, address="patient@b\u00fccher.example"))
    assert [mail["To"] for mail in box.mails] == ["patient@xn--bcher-kva.example"]


@pytest.mark.parametrize("address", ["m\u00fcller@example.org", "patient", "=?utf-8?q?a?=@example.org", "a@example.org, b@example.org"])
async def test_an_address_that_cannot_be_written_in_mail_ends_its_message(mailbox: tuple[Mailbox, SmtpChannel], address: str) -> None:
    box, channel = mailbox
    assert await refused(channel, address=address) is NotSent.ADDRESS_NOT_DELIVERABLE
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
