"""``python -m services.intake``: this service alone, over Kafka."""

import sys

try:
    from services.intake.app import build
    from services.intake.settings import Settings
    from shared.standalone import run_alone
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] in ("services", "shared"):
        raise  # ours, so no package of somebody else's would help
    sys.exit(f"{missing.name} is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services.intake")

sys.exit(run_alone("intake", Settings, build))
