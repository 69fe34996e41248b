"""Which metrics, labels and label values an expression names: enough of PromQL for the rules and the dashboard of `deploy/`."""

import re
from collections.abc import Iterator, Mapping, Sequence

_METRIC = re.compile(r"\bafterglow_\w+")
_SELECTOR = re.compile(r"\b(afterglow_\w+)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_PLAIN_CHOICE = re.compile(r"[\w|-]+")
_OF_PROMETHEUS = {"instance", "job"}

Exposed = Mapping[str, Sequence[Mapping[str, str]]]
"""The labels of every sample, by the sample's name."""


def complaints(expression: str, exposed: Exposed) -> Iterator[str]:
    """What an expression names and nothing exposes."""
    metrics = sorted(set(_METRIC.findall(expression)))
    if missing := [metric for metric in metrics if metric not in exposed]:
        yield from (f"no metric {metric}" for metric in missing)
        return
    known = {label for metric in metrics for labels in exposed.get(metric, ()) for label in labels} | _OF_PROMETHEUS
    for names in _GROUPING.findall(expression):
        yield from (f"no label {name}" for name in re.findall(r"\w+", names) if name not in known)
    for metric, inside in _SELECTOR.findall(expression):
        for label, operator, value in _MATCHER.findall(inside):
            yield from _matcher_complaints(metric, label, operator, value, exposed.get(metric, ()))


def _matcher_complaints(metric: str, label: str, operator: str, value: str, samples: Sequence[Mapping[str, str]]) -> Iterator[str]:
    values = {labels[label] for labels in samples if label in labels}
    if samples and not values and label not in _OF_PROMETHEUS:
        yield f"{metric} has no label {label}"
    elif values and "~" not in operator and value not in values:
        yield f"{metric} has no {label} {value!r}"
    elif values and operator == "=~" and _PLAIN_CHOICE.fullmatch(value):
        yield from (f"{metric} has no {label} {one!r}" for one in value.split("|") if one not in values)
