"""``python -m services.followup``: this service alone, over Kafka."""

import sys

from services.followup.app import build
from services.followup.settings import Settings
from shared.standalone import run_alone

sys.exit(run_alone("followup", Settings, build))
