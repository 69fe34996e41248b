"""``python -m services.intake``: this service alone, over Kafka."""

import sys

from services.intake.app import NAME, build
from services.intake.settings import Settings
from shared.standalone import run_alone

if __name__ == "__main__":
    sys.exit(run_alone(NAME, Settings, build))
