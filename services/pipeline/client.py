"""The caller's side of the APIs, from the command line: a key, its token, and refusals that say what to do next."""

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.secrets import GATEWAY_CERTIFICATE, OPERATOR_CLIENT, read
from shared.security.assertions import token_request

Json = dict[str, Any]  # Any: a decoded JSON document

_SCOPES = ("system/Pipeline.ru",)
_RENEW_BEFORE_SECONDS = 60
_WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a request is sent again that was not answered for a reason that passes."""
_ADVICE = {
    401: "The key is not that of this installation's operator. Use the secrets folder that its intake was started with: --secrets",
    403: "This client may not look after the pipeline. Run `afterglow secrets --folder` with its secrets folder, start intake again.",
}
_ADVICE_BY_CODE = {
    "not-found": "List what there is: afterglow pipeline parked",
    "mending-under-way": "Wait until it is done, then run this again.",
    "state": "Nothing is left to do. To see by whom: afterglow pipeline show",
    "unavailable": "Wait until the service's database answers, then run this again.",
}
_WHERE_SECRETS_ARE = "Name the installation's secrets folder: --secrets deploy/secrets, or <data folder>/secrets"
_MEND = "Mend what is named, then run this again. What there is: the same command with --help"
_OPTIONS = {"from_id": "--from", "to_id": "--to", "active_from": "--from", "content": "the text"}
"""Members of a body that are typed by another name."""


class Failed(Exception):
    """What went wrong, in a sentence, and what to do next."""

    def __init__(self, what: str, advice: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(what)
        self.advice = advice
        self.status = status
        self.code = code


class Caller:
    """A registered client of one installation, as its services know it."""

    def __init__(
        self,
        url: str,
        client_id: str,
        key: ECKey,
        scopes: Sequence[str],
        *,
        verify: ssl.SSLContext | bool,
        named: Mapping[str, str] | None = None,
        advice: Mapping[str, str] | None = None,
    ) -> None:
        """``named``: headers that say for whom it acts. ``advice``: what to do next, by the code of a refusal."""
        self._url = url.rstrip("/")
        self._client_id, self._key, self._scopes = client_id, key, scopes
        self._named, self._advice = dict(named or {}), dict(advice or {})
        self._http = httpx.Client(base_url=self._url, timeout=60, trust_env=False, verify=verify)
        self._token = ""
        self._token_until = 0.0

    def get(self, path: str, **query: object) -> Json:
        """Read something."""
        return self._call("GET", path, params={name: str(value) for name, value in query.items() if value is not None})

    def items(self, path: str, **query: object) -> Iterator[Json]:
        """Every item of a list, page by page."""
        page = self.get(path, **query)
        yield from page["items"]
        while page["next"]:
            page = self._call("GET", page["next"])
            yield from page["items"]

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """Do something once, however often it has to be sent."""
        return self._call("POST", path, json=dict(body), headers={"Idempotency-Key": f'"{uuid4()}"'})

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Json:  # Any: passed to httpx
        answer = self._sent(method, path, headers or {}, options)
        if answer.status_code == 401:  # intake has new signing keys: what it gave before is worth nothing, what it gives now is
            self._token_until = 0.0
            answer = self._sent(method, path, headers or {}, options)
        for wait in _WAITS:
            if answer.status_code not in (502, 503, 504) and _code(answer) != "idempotency-key-in-flight":
                break
            time.sleep(wait)
            answer = self._sent(method, path, headers or {}, options)
        if answer.is_success:
            return answer.json()  # type: ignore[no-any-return]  # JSON is Any
        raise _refused(path, answer, self._advice)

    def _sent(self, method: str, path: str, headers: Mapping[str, str], options: Mapping[str, Any]) -> httpx.Response:  # Any: as above
        try:
            return self._http.request(
                method, path, headers={**self._named, **headers, "Authorization": f"Bearer {self._access_token()}"}, **options
            )
        except (httpx.TransportError, ssl.SSLError) as error:
            raise self._unreachable(error) from None

    def _access_token(self) -> str:
        if time.time() > self._token_until:
            known = self._http.get("/intake/.well-known/smart-configuration")
            if not known.is_success:
                raise Failed(
                    f"intake does not answer at {self._url} ({known.status_code}).", "See how it is: docker compose ps, or its log."
                )
            self._token = self._exchange(str(known.json()["token_endpoint"]))
        return self._token

    def _exchange(self, audience: str) -> str:
        """A token for an assertion; it is asked for where intake is reached, in the name of the address that intake goes by."""
        now = time.time()
        form = token_request(self._client_id, self._key, audience=audience, scopes=self._scopes)
        answer = self._http.post("/intake/oauth/token", data=form)
        if answer.is_success:
            given = answer.json()
            self._token_until = now + int(given["expires_in"]) - _RENEW_BEFORE_SECONDS
            return str(given["access_token"])
        refused = answer.json().get("error", "") if answer.status_code == 400 else ""
        if refused == "invalid_scope":
            raise Failed(
                f"intake does not give this client the scope {self._scopes[0]}.", self._advice.get("scope", _ADVICE[403]), status=403
            )
        if refused:
            raise Failed("intake does not accept this key.", self._advice.get("key", _ADVICE[401]), status=401)
        raise Failed(
            f"intake gave no token ({answer.status_code}).", "Its log says why; its database may be away.", status=answer.status_code
        )

    def _unreachable(self, error: Exception) -> Failed:
        if isinstance(error, httpx.ReadTimeout):
            return Failed(f"{self._url} took too long to answer.", "Look at the service's log, then run this again.", status=504)
        if "mismatch" in str(error):
            return Failed(f"The certificate of {self._url} is for another name.", "Ask by the name in AFTERGLOW_HOST: --url")
        if "CERTIFICATE" in str(error).upper():
            return Failed(
                f"The certificate of {self._url} is not trusted.", f"Its authority's {GATEWAY_CERTIFICATE} must lie in --secrets."
            )
        return Failed(f"Nothing answers at {self._url}.", "Start it (make up, or make run), or say where it is: --url")


class Operator(Caller):
    """The operator of one installation."""

    def __init__(self, url: str, secrets: Path) -> None:
        key = private_key(secrets / f"{OPERATOR_CLIENT}-client-key.json", _WHERE_SECRETS_ARE)
        super().__init__(url, OPERATOR_CLIENT, key, _SCOPES, verify=trust(url, secrets), advice=_ADVICE_BY_CODE)


def private_key(file: Path, where: str) -> ECKey:
    """Raises Failed, which says ``where`` it should be."""
    try:
        return ECKey.import_key(json.loads(read(file.parent, file.name)))
    except OSError as error:
        raise Failed(f"{file} cannot be read ({type(error).__name__}).", where) from None
    except (ValueError, JoseError):
        raise Failed(f"{file} is not a private key.", "Take it from a backup of the secrets folder.") from None


def trust(url: str, secrets: Path) -> ssl.SSLContext | bool:
    """The system's authorities and, where there is one, that of the compose gateway."""
    certificate = secrets / GATEWAY_CERTIFICATE
    if not url.startswith("https://") or not certificate.exists():
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(certificate)
    return context


def _refused(path: str, answer: httpx.Response, by_code: Mapping[str, str]) -> Failed:
    code, fields = _code(answer), _fields(answer)
    advice = by_code.get(code) or _ADVICE.get(answer.status_code) or (_MEND if fields else _look_up(answer))
    told = " ".join(part for part in (f"{path}: {answer.status_code} {code}.", _detail(answer), *fields) if part)
    return Failed(told, advice, status=answer.status_code, code=code)


def _look_up(answer: httpx.Response) -> str:
    request_id = answer.headers.get("X-Request-Id", "")
    return (
        f"The service's log says more, under request_id {request_id}"
        if request_id
        else "The log of the service, or of the gateway, says more."
    )


def _fields(answer: httpx.Response) -> list[str]:
    """What is refused of the request, option by option, as it is typed."""
    refused = _document(answer).get("errors", [])
    return [": ".join(filter(None, (_option(one["pointer"]), one["detail"] or one["code"]))) for one in refused]


def _option(pointer: str) -> str:
    name = pointer.removeprefix("/").partition("/")[0]
    return _OPTIONS.get(name) or (f"--{name.replace('_', '-')}" if name else "")


def _code(answer: httpx.Response) -> str:
    return _member(answer, "code")


def _detail(answer: httpx.Response) -> str:
    return _member(answer, "detail")


def _member(answer: httpx.Response, name: str) -> str:
    return str(_document(answer).get(name, ""))


def _document(answer: httpx.Response) -> Json:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
