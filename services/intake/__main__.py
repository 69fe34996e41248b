"""``python -m services.intake``: this service alone, over Kafka."""

import sys

try:
    from services.intake.app import NAME, build
    from services.intake.settings import Settings
    from shared.standalone import run_alone
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services.intake")

if __name__ == "__main__":
    sys.exit(run_alone(NAME, Settings, build))
