from tests.journeys.conftest import house  # noqa: F401 - a fixture
