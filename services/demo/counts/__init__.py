"""What the day's cast was told, looked for in the databases of the services."""
