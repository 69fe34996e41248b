"""Plans: which work and which check-ins follow an infusion, when each is due, and how they change when the facts do."""
