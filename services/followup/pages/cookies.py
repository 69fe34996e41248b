"""What a patient's browser keeps for us: a cookie for each session, and answers that were not saved, sealed and stored nowhere else."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from fastapi import Request, Response

from services.followup.pages.drafts import Draft, HelpCall, Note
from services.followup.pages.seals import Seals, Whose
from services.followup.pages.sessions import Session, handle_of

_SESSIONS_AT_MOST = 8
_DRAFTS_AT_MOST = 3
"""So that the header in which a browser sends them all stays small."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """How cookies are set and read. ``__Host-`` and Secure wherever the pages are served by https.

    ``known_for`` is how long a session that has ended is still known for one, ``draft_life`` how long answers wait.
    """

    seals: Seals
    secure: bool
    known_for: timedelta
    draft_life: timedelta

    def session(self, request: Request, handle: str) -> Session | None:
        """The session that this browser has under this handle."""
        token = request.cookies.get(self._session_name(handle), "")
        whose = self.seals.session_of(token)
        session = None if whose is None else Session(token, whose)
        return session if session is not None and session.handle == handle else None

    def sessions(self, request: Request) -> list[Session]:
        """All sessions that this browser has, oldest first."""
        prefix = self._session_name("")
        names = [name for name in request.cookies if name.startswith(prefix)]
        return [session for name in names if (session := self.session(request, name.removeprefix(prefix)))]

    def keep_session(self, request: Request, response: Response, session: Session) -> None:
        """Hand a session to the browser, which lets go of its oldest where it has many."""
        self._make_room(request, response, self._session_name(""), _SESSIONS_AT_MOST)
        self._set(response, self._session_name(session.handle), session.token, self.known_for)

    def draft(self, request: Request, whose: Whose) -> Draft:
        """What waits in this browser for this check-in."""
        raw = self.seals.opened(_draft_of(whose), request.cookies.get(self._draft_name(whose), ""))
        if raw is None:
            return Draft()
        kept = json.loads(raw)
        call = kept.get("help_call")  # the release before kept none
        pressed = HelpCall(datetime.fromisoformat(call["at"]), call["handle"]) if call else None
        return Draft(kept["answers"], Note(kept["note"]), kept["missing"], pressed)

    def keep_draft(self, request: Request, response: Response, whose: Whose, draft: Draft) -> None:
        """Let answers wait in the browser that sent them."""
        name = self._draft_name(whose)
        if name not in request.cookies:
            self._make_room(request, response, self._draft_name(None), _DRAFTS_AT_MOST)
        content = json.dumps(asdict(draft), separators=(",", ":"), default=datetime.isoformat).encode()
        self._set(response, name, self.seals.sealed(_draft_of(whose), content), self.draft_life)

    def forget_draft(self, response: Response, whose: Whose) -> None:
        """Nothing waits any more."""
        self._clear(response, self._draft_name(whose))

    def forget(self, response: Response, sessions: Iterable[Session]) -> None:
        """Make the browser forget these sessions and what waits for them."""
        for session in sessions:
            self._clear(response, self._session_name(session.handle))
            self.forget_draft(response, session.whose)

    def _session_name(self, handle: str) -> str:
        return f"{self._prefix}check-in-{handle}"

    def _draft_name(self, whose: Whose | None) -> str:
        return f"{self._prefix}form-{handle_of(sha256(whose.packed()).digest()) if whose else ''}"

    @property
    def _prefix(self) -> str:
        return "__Host-" if self.secure else ""

    def _make_room(self, request: Request, response: Response, prefix: str, at_most: int) -> None:
        names = [name for name in request.cookies if name.startswith(prefix)]
        for name in names[: max(0, len(names) - at_most + 1)]:
            self._clear(response, name)

    def _set(self, response: Response, name: str, value: str, life: timedelta) -> None:
        seconds = int(life.total_seconds())
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")

    def _clear(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def _draft_of(whose: Whose) -> bytes:
    return b"draft" + whose.packed()
