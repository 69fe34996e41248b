"""``python -m services pipeline``: seeing and mending the pipelines of all three services, through their APIs and nothing else."""
