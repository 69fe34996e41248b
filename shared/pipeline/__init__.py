"""Seeing and mending the pipeline: what an operator, who sees no patient, may ask of a service and do to it.

Every service mounts the same operations under ``/<service>/v1/pipeline``. What they rest on is in the database, so it does not matter
which replica is asked. What they answer is counts, ids, codes, types and times, never what an event says.
"""

from shared.pipeline.api import with_pipeline

__all__ = ["with_pipeline"]
