"""The plumbing's own tables: schema ``platform`` in every service's database, with their own migration history."""
