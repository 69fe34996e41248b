"""Schema history of the sessions database."""
