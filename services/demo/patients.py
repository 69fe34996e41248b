"""The patients' side: they open the link in their message, confirm the birth date and answer, or not, as their part says."""

import asyncio
import html
import json
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from services.demo.cast import Person
from services.demo.day import Day

_MARK = re.compile(r'<input type="hidden" name="mark" value="([^"]+)"')
_RADIO = re.compile(r'<input type="radio" id="[^"]+" name="([^"]+)" value="([^"]+)"')
WORRYING = {"distress": "9", "call_today": "yes"}
_FORMS, _THANKS = "/c/form/", "<h1>Thank you</h1>"
_LATE_BY = timedelta(hours=26)
_LOOK_SECONDS = 0.1
_AWAY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Mail:
    """A message in the file outbox."""

    message_id: str
    to: str
    link: str


class Patients:
    """Reads the outbox as the patients' mail programs would, and plays every patient's reply."""

    def __init__(self, day: Day, outbox: Path, trust: ssl.SSLContext | None) -> None:
        self._day = day
        self._outbox = outbox
        self._trust = True if trust is None else trust
        self._written: dict[str, tuple[int, int]] = {}
        """Which file and when, by message: one that is written again came again."""
        self.replies: list[asyncio.Task[None]] = []

    async def read_mail(self) -> None:
        """Look for new messages until cancelled; every one gets its patient's reply, once."""
        people = {person.email: person for person in self._day.people}
        while True:
            for mail in self._new_mail():
                person = people.get(mail.to)
                if person is not None:
                    self._receive(person, mail)
            await asyncio.sleep(_LOOK_SECONDS)

    def _receive(self, person: Person, mail: Mail) -> None:
        known = mail.message_id in person.messages
        person.messages.append(mail.message_id)
        self._note(person, messages=1)
        if not known:
            self.replies.append(asyncio.create_task(self._reply(person, mail)))

    async def settle(self) -> None:
        """Wait for all replies. Raises what went wrong in any, however long ago."""
        while under_way := [reply for reply in self.replies if not reply.done()]:
            await asyncio.wait(under_way)
        await asyncio.gather(*self.replies)

    def _new_mail(self) -> list[Mail]:
        found = []
        for path in sorted(self._outbox.glob("*.json")):
            file = path.stat()
            written = file.st_ino, file.st_mtime_ns
            if self._written.get(path.stem) != written:
                self._written[path.stem] = written
                message = json.loads(path.read_text())
                found.append(Mail(path.stem, message["to"], message["link"]))
        return found

    async def _reply(self, person: Person, mail: Mail) -> None:
        if person.role.reply == "never":
            return
        if person.role.reply == "late":
            await self._day.until(self._day.clock.now() + _LATE_BY)
        async with httpx.AsyncClient(base_url=self._origin(mail), timeout=10, trust_env=False, verify=self._trust) as browser:
            form = await self._open(browser, person, urlsplit(mail.link).path)
            if form is not None:
                await self._answer(browser, person, mail, form)

    async def _open(self, browser: httpx.AsyncClient, person: Person, path: str) -> str | None:
        """Confirm the birth date; where the form is, if the link let us in."""
        year, month, day = person.birth_date.split("-")
        for attempt in range(person.role.wrong_birth_dates + 1):
            typed = {"birth_month": month, "birth_day": day, "birth_year": year}
            if attempt < person.role.wrong_birth_dates:
                typed["birth_year"] = str(int(year) + 1)
            answer = await self._until_answered(browser, "POST", path, typed)
            if answer.status_code == httpx.codes.GONE:
                return None
            leads_to = answer.headers.get("location", "")
            if leads_to.startswith(_FORMS):
                return str(leads_to)
        return None

    async def _answer(self, browser: httpx.AsyncClient, person: Person, mail: Mail, form: str) -> None:
        """Fill in the form and send it; what was acknowledged is noted with the person."""
        page = await self._until_answered(browser, "GET", form)
        if page.status_code != httpx.codes.OK:
            return
        answers = calm_answers(page.text)
        worrying = WORRYING.items() if person.role.reply == "worrying" and not person.worried else ()
        answers |= {name: value for name, value in worrying if name in answers}
        person.answering.append(mail.message_id)
        sent = await self._until_answered(browser, "POST", "/c", answers)
        told = await self._until_answered(browser, "GET", sent.headers.get("location", form))
        if told.status_code != httpx.codes.OK or _THANKS not in told.text:
            return
        person.answered.append(mail.message_id)
        if answers.items() & WORRYING.items():
            person.worried.append(mail.message_id)
        self._note(person, answers=1)

    async def _until_answered(
        self, browser: httpx.AsyncClient, method: str, path: str, form: dict[str, str] | None = None
    ) -> httpx.Response:
        """A person reloads the page when nothing comes."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answer = await browser.request(method, path, data=form)
                if answer.status_code not in _AWAY:
                    return answer
            await asyncio.sleep(0.1)
        raise TimeoutError(f"{method} {path.split('/')[1]} was never answered")

    def _origin(self, mail: Mail) -> str:
        parts = urlsplit(mail.link)
        return f"{parts.scheme}://{parts.netloc}"

    def _note(self, person: Person, *, messages: int = 0, answers: int = 0) -> None:
        visit = next(visit for visit in self._day.board.visits if visit.patient_number == person.patient_number)
        visit.messages += messages
        visit.answers += answers
        what = "has a message" if messages else "answered"
        self._day.board.tell(self._day.clock.now(), f"{person.patient_number} {what}")


def calm_answers(page: str) -> dict[str, str]:
    """For every question of a form the answer of a quiet day: no, not at all, slept well; and the mark that says whose form it is."""
    offered: dict[str, list[str]] = {}
    for name, value in _RADIO.findall(page):
        offered.setdefault(name, []).append(html.unescape(value))
    answers = {name: "no" if "no" in values else values[0] for name, values in offered.items()}
    if "sleep_quality" in offered:
        answers["sleep_quality"] = "8"
    mark = _MARK.search(page)
    return answers | ({"mark": mark[1]} if mark else {})
