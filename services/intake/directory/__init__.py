"""What other services may ask: display names, how to reach a patient at the moment of sending, and what a patient's page shows now."""
