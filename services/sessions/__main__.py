"""``python -m services.sessions``: this service alone, over Kafka."""

import sys

from services.sessions.app import build
from services.sessions.settings import Settings
from shared.standalone import run_alone

sys.exit(run_alone("sessions", Settings, build))
