"""The operator's client over long work: its token is renewed in time and once when it is refused; a slow service hides no other."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from services import secrets
from services.pipeline.asking import or_error
from services.pipeline.client import Failed, Operator


class Installation:
    """Intake and one service, as far as the client sees them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.given: list[str] = []
        self.ended: set[str] = set()
        self.seen: list[tuple[str, str]] = []
        self.slow = False
        self.untrusted = ""
        self.refusal: dict[str, object] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.untrusted:
            raise httpx.ConnectError(f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {self.untrusted} (_ssl.c:1006)")
        if request.url.path.endswith("smart-configuration"):
            return httpx.Response(200, json={"token_endpoint": "http://intake/oauth/token"})
        if request.url.path.endswith("/oauth/token"):
            self.given.append(f"token-{len(self.given)}")
            return httpx.Response(200, json={"access_token": self.given[-1], "expires_in": 300})
        if self.slow:
            raise httpx.ReadTimeout("slow")
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.seen.append((token, request.headers.get("Idempotency-Key", "")))
        if token in self.ended:
            return httpx.Response(401, json={"code": "token-invalid"})
        if self.refusal:
            return httpx.Response(422, json=self.refusal, headers={"X-Request-Id": "7f3a"})
        return httpx.Response(200, json={})


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Installation:
    there = Installation()
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(there)))
    monkeypatch.setattr("time.time", lambda: there.now)
    return there


@pytest.fixture
def operator(installation: Installation, tmp_path: Path) -> Iterator[Operator]:
    secrets.generate(tmp_path)
    client = Operator("http://afterglow.example", tmp_path)
    yield client
    client.close()


def test_a_token_is_renewed_before_its_end(installation: Installation, operator: Operator) -> None:
    for _ in range(7):
        operator.post("/followup/v1/pipeline/replay", {})
        installation.now += 100
    assert [token for token, _ in installation.seen] == ["token-0"] * 3 + ["token-1"] * 3 + ["token-2"]


def test_a_token_that_is_refused_is_renewed_once_and_the_request_is_the_same(installation: Installation, operator: Operator) -> None:
    operator.get("/followup/v1/pipeline")
    installation.ended = {"token-0"}
    operator.post("/followup/v1/pipeline/redrive", {})
    (_, (refused, key), (taken, again)) = installation.seen
    assert (refused, taken, key == again != "") == ("token-0", "token-1", True)
    installation.ended |= {"token-1", "token-2"}
    with pytest.raises(Failed) as failed:
        operator.get("/followup/v1/pipeline")
    assert (failed.value.status, installation.given[-1]) == (401, "token-2")


def test_a_service_that_is_too_slow_does_not_hide_the_others(installation: Installation, operator: Operator) -> None:
    installation.slow = True
    assert or_error(partial(operator.get, "/followup/v1/pipeline")) == {"error": "does not answer (504)"}
    installation.slow = False
    assert or_error(partial(operator.get, "/sessions/v1/pipeline")) == {}


def refused(operator: Operator, installation: Installation, **member: object) -> Failed:
    """What the client says of a refusal with these members."""
    installation.refusal = {"detail": "The request can be read and is not acceptable.", **member}
    with pytest.raises(Failed) as failed:
        operator.post("/followup/v1/pipeline/republish", {})
    return failed.value


def test_a_refused_value_is_told_by_the_name_of_its_option(installation: Installation, operator: Operator) -> None:
    errors = [
        {"pointer": "/since", "code": "time-format", "detail": "Is not a time as in RFC 3339."},
        {"pointer": "/to_id", "code": "range-invalid", "detail": ""},
        {"pointer": "/to_offset", "code": "out-of-range", "detail": "At least 0."},
        {"pointer": "", "code": "required", "detail": "Is required."},
    ]
    told = refused(operator, installation, code="invalid", errors=errors)
    assert str(told).endswith(
        "not acceptable. --since: Is not a time as in RFC 3339. --to: range-invalid --to-offset: At least 0. Is required."
    )
    assert "log" not in told.advice, "nothing is in the log that is not said here"


def test_advice_to_look_into_the_log_names_the_request(installation: Installation, operator: Operator) -> None:
    assert "request_id 7f3a" in refused(operator, installation, code="refused", errors=[]).advice


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("IP address mismatch, certificate is not valid for '127.0.0.1'.", "for another name"),
        ("Hostname mismatch, certificate is not valid for 'localhost'.", "for another name"),
        ("unable to get local issuer certificate", "not trusted"),
    ],
)
def test_a_certificate_for_another_name_is_told_apart_from_one_of_nobody_we_know(
    installation: Installation, operator: Operator, said: str, told: str
) -> None:
    installation.untrusted = said
    with pytest.raises(Failed, match=told):
        operator.get("/intake/v1/pipeline/status")
