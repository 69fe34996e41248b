"""Where the issuer's keys come from: asked for rarely, kept when the issuer is away."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from shared.errors import Unavailable
from shared.security.tokens import HttpJwks, StaticJwks, TokenRefused, TokenVerifier

URL = "http://127.0.0.1:1/intake/.well-known/jwks.json"
FIRST = ECKey.generate_key("P-256", {"kid": "first"})
SECOND = ECKey.generate_key("P-256", {"kid": "second"})


class Clock:
    """Seconds that pass when told."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class Issuer:
    """An issuer whose keys and health a test sets."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys = list(keys)
        self.answer: httpx.Response | Exception | None = None
        self.asked = 0
        self.clock = Clock()

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})

    def source(self) -> HttpJwks:
        return HttpJwks(URL, httpx.AsyncClient(transport=httpx.MockTransport(self)), now=self.clock)


AWAY: dict[str, httpx.Response | Exception] = {
    "refused": httpx.ConnectError("refused"),
    "slow": httpx.ReadTimeout("slow"),
    "failing": httpx.Response(500),
    "elsewhere": httpx.Response(302, headers={"Location": "http://elsewhere.example"}),
    "a-page": httpx.Response(200, text="<html>"),
    "a-list": httpx.Response(200, json=[]),
    "no-list": httpx.Response(200, json={"keys": "none"}),
    "no-keys": httpx.Response(200, json={"keys": []}),
    "half-a-key": httpx.Response(200, json={"keys": [{"kty": "EC"}]}),
}


async def test_keys_are_asked_for_once() -> None:
    issuer = Issuer(FIRST)
    source = issuer.source()
    for _ in range(3):
        assert (await source.key("first")) is not None
    assert issuer.asked == 1


async def test_many_requests_at_once_ask_once() -> None:
    issuer = Issuer(FIRST)
    source = issuer.source()
    assert all(await asyncio.gather(*(source.key("first") for _ in range(20))))
    assert issuer.asked == 1


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
async def test_without_any_key_nothing_can_be_verified(answer: httpx.Response | Exception) -> None:
    issuer = Issuer()
    issuer.answer = answer
    with pytest.raises(Unavailable):
        await issuer.source().key("first")


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
async def test_the_last_good_keys_stay_in_use(answer: httpx.Response | Exception) -> None:
    issuer = Issuer(FIRST)
    source = issuer.source()
    await source.key("first")
    issuer.answer = answer
    issuer.clock.at += 3600
    assert await source.key("first") is not None
    assert await source.key("second") is None
    assert issuer.asked == 2, "the second question came within 10 s"


async def test_a_new_key_is_found_when_it_is_first_used() -> None:
    issuer = Issuer(FIRST)
    source = issuer.source()
    await source.key("first")
    issuer.keys.append(SECOND)
    issuer.clock.at += 11
    assert await source.key("second") is not None
    assert issuer.asked == 2


async def test_made_up_key_ids_do_not_make_us_ask_more_often() -> None:
    issuer = Issuer(FIRST)
    source = issuer.source()
    for number in range(50):
        assert await source.key(f"made-up-{number}") is None
    assert issuer.asked == 1
    issuer.clock.at += 11
    await source.key("made-up")
    await source.key("made-up-too")
    assert issuer.asked == 2


async def test_a_withdrawn_key_is_gone_after_the_next_question() -> None:
    issuer = Issuer(FIRST, SECOND)
    source = issuer.source()
    assert await source.key("second") is not None
    issuer.keys.remove(SECOND)
    issuer.clock.at += 301
    assert await source.key("second") is None


async def test_only_elliptic_keys_with_an_id_are_used() -> None:
    secret = OctKey.import_key("x" * 32, {"kid": "secret"})
    nameless = ECKey.generate_key("P-256")
    source = StaticJwks({"keys": [FIRST.as_dict(private=False), secret.as_dict(), nameless.as_dict(private=False)]})
    assert await source.key("first") is not None
    assert await source.key("secret") is None


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "issuer",
        "sub": "c",
        "aud": ["here"],
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": "1",
        "kind": "operator",
        "scope": "",
    }
    return {**good, **changes}


def signed(**changes: Any) -> str:
    return "Bearer " + jwt.encode({"alg": "ES256", "kid": "first"}, claims(**changes), FIRST, algorithms=["ES256"])


def verifier(clock: Clock | None = None) -> TokenVerifier:
    return TokenVerifier(Issuer(FIRST).source(), audience="here", issuer="issuer", now=clock or time.time)


async def test_a_verified_token_is_remembered_and_not_beyond_its_end() -> None:
    clock = Clock(time.time())
    checked, token = verifier(clock), signed()
    caller = await checked.caller(token)
    assert await checked.caller(token) is caller
    clock.at += 304
    assert await checked.caller(token) is caller, "the clocks may differ by 5 s"
    clock.at += 2
    with pytest.raises(TokenRefused) as refused:
        await checked.caller(token)
    assert refused.value.code == "token-expired"
    assert refused.value.caller == caller


async def test_a_refused_token_is_not_remembered() -> None:
    clock = Clock(time.time())
    checked = verifier(clock)
    token = signed(nbf=time.time() + 60, exp=time.time() + 300)
    with pytest.raises(TokenRefused):
        await checked.caller(token)
    clock.at += 61
    assert (await checked.caller(token)).client_id == "c"


async def test_an_audience_may_be_one_text() -> None:
    assert (await verifier().caller(signed(aud="here"))).kind == "operator"


@pytest.mark.parametrize("audience", [[], "her", ["there"], None, {"here": 1}, 5])
async def test_another_audience_is_refused(audience: object) -> None:
    with pytest.raises(TokenRefused):
        await verifier().caller(signed(aud=audience))


async def test_a_signer_whose_claims_do_not_hold_is_named() -> None:
    with pytest.raises(TokenRefused) as refused:
        await verifier().caller(signed(aud=["there"]))
    assert refused.value.caller is not None
    assert refused.value.caller.client_id == "c"
