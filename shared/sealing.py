"""Sealing by AES-GCM under a key that is derived from a secret for one purpose, so that nothing passes for something else.

Nobody but who has the secret reads what is sealed, and who changes a bit of it has nothing.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32
_NONCE_BYTES = 12


def derived_key(secret: bytes, purpose: bytes) -> bytes:
    """A key of its own for one purpose."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(secret)


class Box:
    """Seals for one purpose. Each content is bound to its place: sealed for one, it opens for no other."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._cipher = AESGCM(derived_key(secret, purpose))

    def sealed(self, content: bytes, place: bytes) -> bytes:
        """Different bytes at every call."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place)

    def opened(self, sealed: bytes, place: bytes) -> bytes | None:
        """The content; None for what was not sealed here for this place."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None

    def sealed_text(self, content: bytes, place: bytes) -> str:
        """The same as text that fits an address, a form field and a cookie."""
        return _text_of(self.sealed(content, place))

    def opened_text(self, text: str, place: bytes) -> bytes | None:
        """From ``sealed_text``; None unless it is character by character the same text."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError:
            return None
        return self.opened(raw, place) if _text_of(raw) == text else None


def _text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
