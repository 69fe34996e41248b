"""``python -m services documents``: a clinic's clinical documents, through the APIs and nothing else."""
