"""A reader of a worker's health port, and of what stands there."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: str


def ask(url: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Answered:
    """Ask for a page, whatever its status."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return Answered(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answered(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode())


def samples(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a page of metrics says, by sample and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(page: str, name: str, **labels: str) -> float:
    """One sample's value."""
    return samples(page)[name, frozenset(labels.items())]
