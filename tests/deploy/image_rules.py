"""The written list that deploy/Dockerfile is held against: each rule takes the text and names what breaks it."""

import re
from collections.abc import Callable, Iterator, Sequence

Rule = Callable[[str], Iterator[str]]

OFFICIAL = {"python:3.13-slim"}


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions with their arguments, continued lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines) if name.strip()]


def last_stage(text: str) -> list[tuple[str, str]]:
    """What the image itself is made by; everything before it is left behind."""
    all_of_it = instructions(text)
    begin = max(index for index, (name, _) in enumerate(all_of_it) if name == "FROM")
    return all_of_it[begin:]


def is_plain(text: str) -> Iterator[str]:
    if re.search(r"^#\s*(syntax|escape)\s*=", text, flags=re.MULTILINE | re.IGNORECASE):
        yield "a directive that not every builder can follow"
    for name, rest in instructions(text):
        if name == "ADD" or "--mount" in rest or "--link" in rest or "<<" in rest:
            yield f"{name} {rest}"


def stands_on_official_tags(text: str) -> Iterator[str]:
    stages: set[str] = set()
    for name, rest in instructions(text):
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            if base not in OFFICIAL | stages:
                yield f"FROM {rest}"
            stages.add(stage)
    if len(stages) < 2:
        yield "one stage only: what builds is left inside"


def installs_by_hash_only(text: str) -> Iterator[str]:
    installs = [rest for name, rest in instructions(text) if name == "RUN" and " install " in rest]
    if not installs:
        yield "nothing is installed"
    for rest in installs:
        for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "-r /build/requirements.lock"):
            if option not in rest:
                yield f"an installation without {option}"


def names_no_package_index(text: str) -> Iterator[str]:
    for name, rest in instructions(text):
        if "://" in rest or "--index-url" in rest or "--trusted-host" in rest:
            yield f"{name} {rest}"
    for name, rest in last_stage(text):
        if "PIP_" in rest:
            yield f"{name} {rest} stays in the image"


def leaves_pip_behind(text: str) -> Iterator[str]:
    removals = [rest for name, rest in last_stage(text) if name == "RUN" and "rm -rf" in rest]
    if not any("-name pip " in rest and "-name ensurepip " in rest for rest in removals):
        yield "pip is not removed"
    for name, rest in last_stage(text):
        if name == "RUN" and rest not in removals:
            yield f"{name} {rest}"


def runs_as_a_numbered_user_that_is_not_root(text: str) -> Iterator[str]:
    users = [rest for name, rest in last_stage(text) if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1]):
        yield f"USER {users[-1:]}"


def takes_shared_and_one_service(text: str) -> Iterator[str]:
    allowed = {"requirements.lock", "shared", "services/__init__.py", "services/${SERVICE}", "deploy/probe.py", "deploy/sbom.py"}
    for name, rest in instructions(text):
        if name == "COPY" and not rest.startswith("--from="):
            taken = set(rest.split()[:-1])
            if not taken <= allowed:
                yield f"COPY {rest}"


def says_how_it_is(text: str) -> Iterator[str]:
    if not any(name == "HEALTHCHECK" and "python" in rest and "curl" not in rest for name, rest in last_stage(text)):
        yield "no health check by Python"
    if "sbom.py" not in text or "sbom.cdx.json" not in text:
        yield "no list of what is inside"


RULES: Sequence[Rule] = (
    is_plain,
    stands_on_official_tags,
    installs_by_hash_only,
    names_no_package_index,
    leaves_pip_behind,
    runs_as_a_numbered_user_that_is_not_root,
    takes_shared_and_one_service,
    says_how_it_is,
)
