"""Consents: signed for a time, revocable at any time."""
