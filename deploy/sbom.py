"""Writes what is in an image as a CycloneDX 1.6 document: the installed Python packages, the interpreter, and Debian's packages.

``python sbom.py <name> <version>`` on standard output, run by the interpreter whose packages are meant. It reads what is installed,
not what should be.
"""

import json
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

Component = dict[str, object]

DPKG_STATUS = Path("/var/lib/dpkg/status")


def document(name: str, version: str, *, dpkg_status: Path = DPKG_STATUS) -> dict[str, object]:
    """The whole document for an image called ``name``."""
    components = [*sorted(_python(distributions()), key=_by_reference), interpreter(), *_debian(dpkg_status)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid4()}",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {"type": "container", "bom-ref": "image", "name": name, "version": version},
        },
        "components": components,
    }


def interpreter() -> Component:
    """The Python that runs."""
    version = platform.python_version()
    return {
        "type": "platform",
        "bom-ref": f"python@{version}",
        "name": "python",
        "version": version,
        "purl": f"pkg:generic/python@{version}",
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
    }


def _python(installed: Iterable[Distribution]) -> Iterator[Component]:
    for distribution in installed:
        name, version = distribution.metadata["Name"].lower().replace("_", "-"), distribution.version
        reference = f"pkg:pypi/{name}@{quote(version)}"
        licences = distribution.metadata.get_all("License-Expression")
        yield {
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": version,
            "purl": reference,
            **({"licenses": [{"expression": licences[0]}]} if licences else {}),
        }


def _debian(status: Path) -> Iterator[Component]:
    """Packages of the base image; none where there is no dpkg."""
    text = status.read_text(encoding="utf-8") if status.exists() else ""
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status") != "install ok installed":
            continue
        reference = f"pkg:deb/debian/{fields['Package']}@{quote(fields['Version'])}?arch={fields['Architecture']}"
        yield {"type": "library", "bom-ref": reference, "name": fields["Package"], "version": fields["Version"], "purl": reference}


def _by_reference(component: Component) -> str:
    return str(component["bom-ref"])


if __name__ == "__main__":
    json.dump(document(sys.argv[1], sys.argv[2]), sys.stdout, indent=1)
