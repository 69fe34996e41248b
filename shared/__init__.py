"""Technical plumbing that all services stand on; no domain word lives here outside ``shared.events``."""
