"""What is kept of a patient's birth date for the check at a link: nothing that can be tried out without this service's key.

A salted hash of a birth date is no secret: there are 40,000 dates, and a copy of the database has the salts. So intake's hash is kept
only under a key that is derived from the link secret, which stands in no database.
"""

from datetime import date
from hmac import compare_digest, digest
from typing import NamedTuple

from shared.sealing import derived_key

NOT_KEPT = "-"
"""Stands where nothing is kept."""


class Hashed(NamedTuple):
    """A birth date as intake tells it: HMAC-SHA256 over YYYY-MM-DD, keyed by the salt's bytes; both in hexadecimal."""

    salt: str
    value: str


def birth_date_hash(birth_date: date, salt: str) -> str:
    """As intake makes it."""
    return digest(bytes.fromhex(salt), birth_date.isoformat().encode("ascii"), "sha256").hex()


class BirthDates:
    """Makes proofs of birth dates, and compares with them."""

    def __init__(self, secret: bytes) -> None:
        self._key = derived_key(secret, b"afterglow birth date of a link")

    def proof(self, hashed: Hashed) -> str:
        """What may be stored."""
        return f"{hashed.salt}:{digest(self._key, hashed.value.encode('ascii'), 'sha256').hex()}"

    def fits(self, birth_date: date, proof: str) -> bool:
        """Whether a birth date is the one that a proof was made of."""
        if proof == NOT_KEPT:
            return False
        salt, _, _ = proof.partition(":")
        return compare_digest(self.proof(Hashed(salt, birth_date_hash(birth_date, salt))), proof)
