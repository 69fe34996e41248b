"""Loaded by schemathesis: sign-in, and what no description can say, so that requests get past 401, 404 and the used-up key."""

import json
import os
import random
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from joserfc.jwk import ECKey

from shared.security.assertions import token_request
from shared.web import problems
from tests.support.written import in_one_way

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CURSOR = re.compile("[A-Za-z0-9_-]{1,1024}")
_KEY = re.compile('("[!#-~]{1,255}"|[!#-~]{1,255})')
_NEWEST = 12
"""How many of the ids that were made last stand in for made-up ones."""
_EXISTING = 0.9
"""How often; nobody disables the client whose run this is."""
_FORM = frozenset({*problems.FORM_CODES, "text-not-allowed"})
_UNSAID = frozenset(
    {
        ("", "json-number-too-long"),
        ("", "required"),  # at least one reading
        ("email", "required"),  # by the preferred channel
        ("phone", "required"),
        ("family_name", "required"),  # or a given name
        ("volume_given", "required"),  # by the concentration, and the other way round
        ("concentration", "required"),
        ("systolic_mmhg", "required"),  # a pressure has two values
        ("diastolic_mmhg", "required"),
        ("pump_end", "required"),  # while the pump runs
        *(("content", code) for code in problems.FORM_CODES),  # a document inside a text
    }
)
"""Refusals for form that the description does not foretell: the last step of the pointer, and the code."""
_REFUSED = (400, 408, 413, 415, 422, 428)

_world: dict[str, Any] = json.loads(Path(os.environ["FUZZ_WORLD"]).read_text())  # Any: as test_fuzz.py wrote it
_ids: dict[str, list[str]] = _world["ids"]
_random = random.Random(1)


@schemathesis.auth(refresh_interval=120)
class AccessToken:
    """A token as a client gets it: by an assertion signed with its own key."""

    def get(self, _case: Any, _context: Any) -> str | None:  # Any: schemathesis passes its own objects
        if not _world["client_id"]:
            return None
        url = f"{_world['origin']}/intake/oauth/token"
        key = ECKey.import_key(_world["key"])
        form = token_request(_world["client_id"], key, audience=url, scopes=_world["scope"].split())
        answer = httpx.post(url, data=form, trust_env=False).raise_for_status()
        return str(answer.json()["access_token"])

    def set(self, case: Any, token: str, _context: Any) -> None:  # Any: as above
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.check
def what_has_the_described_form_is_not_refused_for_its_form(_context: Any, response: Any, case: Any) -> None:  # Any: as above
    """In place of schemathesis' own check, for which every 422 is wrong: no schema can say that a visit ends after it began."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in _REFUSED:
        return
    said = response.json()
    if "error" in said:  # RFC 6749: the token endpoint
        return
    refusals = _refusals(said)
    wrong = {(name, code) for name, code in refusals - _UNSAID if response.status_code != 422 or code in _FORM}
    assert not wrong, f"as described, and refused with {response.status_code} for its form: {wrong}"


def _refusals(said: Any) -> set[tuple[str, str]]:  # Any: JSON
    """The last step of the pointer and the code of each, from a problem or from an OperationOutcome."""
    if "issue" in said:
        issues = said["issue"][1:] or said["issue"]
        return {(one.get("diagnostics", "").rpartition("/")[2], one["details"]["coding"][0]["code"]) for one in issues}
    return {(one["pointer"].rpartition("/")[2], one["code"]) for one in said["errors"]} or {("", said["code"])}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:  # Any: as above
    """Where a made-up value has the right form, one that exists stands in for it; what has a wrong form is sent as it is."""
    headers = case.headers or {}
    for name, value in (("Afterglow-Practitioner", _world["practitioner"]), ("Afterglow-Clinic", _world["clinic"])):
        if _fits(_UUID, headers.get(name)):
            headers[name] = value
    if _fits(_KEY, headers.get("Idempotency-Key")):
        headers["Idempotency-Key"] = str(uuid4())
    if _fits(_CURSOR, (case.query or {}).get("cursor")):
        del case.query["cursor"]
    if case.meta is not None and case.meta.generation.mode.is_positive:
        case.body = in_one_way(case.body)
    for place in (case.path_parameters, case.query, case.body):
        _name_what_exists(place)


@schemathesis.hook
def after_call(_context: Any, _case: Any, response: Any) -> None:  # Any: as above
    """What was made can be asked for."""
    if response.status_code == httpx.codes.CREATED:
        made = response.json()
        for name, known in _ids.items():
            if isinstance(made.get(name), str):
                known.append(made[name])


def _name_what_exists(place: Any) -> None:  # Any: whatever was generated
    if not isinstance(place, dict):
        return
    for name, value in place.items():
        if name in _ids and (value == _world["client_id"] or (_fits(_UUID, value) and _random.random() < _EXISTING)):
            place[name] = _random.choice(_ids[name][-_NEWEST:])


def _fits(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
