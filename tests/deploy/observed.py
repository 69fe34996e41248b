"""What `deploy/` says about metrics: alert rules, the dashboard, and the runbook."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"


def rules() -> list[dict[str, Any]]:  # Any: a YAML document
    """The alert rules, in their order."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, str]:
    """The expression of each alert."""
    return {rule["alert"]: rule["expr"] for rule in rules()}
