"""Channel names of the form `kind:subject`, such as `trade:BTC/USD`. A subject may hold colons, a kind does not."""

from __future__ import annotations

from collections.abc import Iterable


def kind_of(channel: str) -> str:
    return channel.partition(":")[0]


def subject_of(channel: str) -> str:
    """What stands behind the first colon; empty for a channel that is a kind alone."""
    return channel.partition(":")[2]


def name(kind: str, subject: str) -> str:
    return f"{kind}:{subject}" if subject else kind


def by_kind(channels: Iterable[str]) -> dict[str, list[str]]:
    """The subjects of each kind, in their order; a channel that is a kind alone adds none."""
    kinds: dict[str, list[str]] = {}
    for channel in channels:
        subjects = kinds.setdefault(kind_of(channel), [])
        if subject := subject_of(channel):
            subjects.append(subject)
    return kinds
