"""Practitioners of a clinic and the roles they hold; the other services learn ids and roles by event, never names."""
