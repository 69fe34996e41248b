"""Machine clients and the token endpoint (SMART Backend Services)."""
