"""Reading what a server answers, which may be anything: nothing here raises, whatever the bytes are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..decoding import make_decoding


@cache
def _decoder() -> Callable[[bytes], Any]:
    # Made when first needed: what it imports would make `import jetsocket` slower.
    return make_decoding().decode


def decoded(raw: bytes) -> Any:
    """The message as JSON has it; None also where it is none."""
    try:
        return _decoder()(raw)
    except Exception:  # noqa: BLE001  # two decoders, each with its own errors: all of them say that it is no JSON
        return None


def members(value: Any) -> dict[str, Any]:
    """An object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """An array as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def scalar(value: Any) -> int | str | None:
    """A whole number or a text that is not empty; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else text(value)
