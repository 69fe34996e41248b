"""Schema history of the followup database."""
