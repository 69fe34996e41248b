"""What `deploy/` says about metrics: alert rules, the dashboard, and the runbook."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/afterglow.json"


def rules() -> list[dict[str, Any]]:  # Any: a YAML document
    """The alert rules, in their order."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, str]:
    """The expression of each alert."""
    return {rule["alert"]: rule["expr"] for rule in rules()}


def panels() -> list[dict[str, Any]]:  # Any: a JSON document
    """The panels of the dashboard, in their order."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]  # Any: as above
    return found


def shown() -> dict[str, str]:
    """Every expression of the dashboard, by panel and target."""
    return {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]}
