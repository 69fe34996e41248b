"""What other services may ask: display names, and how to reach a patient at the moment of sending."""
