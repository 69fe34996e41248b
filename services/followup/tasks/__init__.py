"""The queue: care tasks that wait for a person, who has them, and everything that ever happened to each of them."""
