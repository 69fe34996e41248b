"""``python -m services.sessions``: this service alone, over Kafka."""

import sys

try:
    from services.sessions.app import build
    from services.sessions.settings import Settings
    from shared.standalone import run_alone
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] in ("services", "shared"):
        raise  # ours, so no package of somebody else's would help
    sys.exit(f"{missing.name} is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services.sessions")

sys.exit(run_alone("sessions", Settings, build))
