"""``python -m services.followup``: this service alone, over Kafka."""

import sys

try:
    from services.followup.app import build
    from services.followup.settings import Settings
    from shared.standalone import run_alone
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] in ("services", "shared"):
        raise  # ours, so no package of somebody else's would help
    sys.exit(f"{missing.name} is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services.followup")

sys.exit(run_alone("followup", Settings, build))
