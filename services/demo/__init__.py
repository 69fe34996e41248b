"""One clinic day, driven from outside through the public HTTP APIs only, as a clinic's own system and its patients would."""
