from tests.support.fixtures import kafka, local, pipeline

__all__ = ["kafka", "local", "pipeline"]
