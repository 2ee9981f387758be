"""The bounds that benchmarks are held to: a TOML file, kept with the benchmarks. See `bench_gate.py` for what it means.

[pairs]                            # words in the parameters of cases that are otherwise the same
fast = "compiled"
slow = "pure"

[times_as_fast]                    # at least; `*` stands for the word of the pair
"test_decode[*-1024]" = 12.0

[times_the_cost_of."test_copy"]    # at most; both in the same run
"test_decode[compiled-1024]" = 2.5

[left_out]                         # cases without a bound, and why; `*` is any text
"test_loopback[*]" = "waits for another process"

[instructions]
cases = ["*[compiled*"]            # those to count; `*` is any text
tolerance = 0.02                   # 0.02 unless told
facts = ["package.module:level"]   # functions whose answers the counts depend on
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 0.02


class BadInput(Exception):
    """A file that is not what it should be; says which, and why."""


@dataclass(frozen=True)
class Bounds:
    """What the file says."""

    fast: str
    slow: str
    times_as_fast: Mapping[str, float]
    times_the_cost_of: Mapping[str, Mapping[str, float]]
    left_out: Mapping[str, str]
    counted: tuple[str, ...]
    uncounted: tuple[str, ...]
    tolerance: float
    facts: tuple[str, ...]

    def twins(self, name: str) -> tuple[str, str]:
        """The fast and the slow case of a bound `name`."""
        return name.replace("*", self.fast), name.replace("*", self.slow)


def read_bounds(path: Path) -> Bounds:
    """Raises BadInput, which names what is wrong."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    try:
        return _bounds(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, BadInput) as error:
        raise BadInput(f"{path}: {error}") from error


def no_bounds() -> Bounds:
    """What an empty file says."""
    return _bounds({})


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name is as one of `patterns`, in which `*` is any text."""
    whole = re.compile("|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in patterns) or "(?!)")
    return lambda name: whole.fullmatch(name) is not None


def _bounds(content: dict[str, Any]) -> Bounds:
    allowed = ("pairs", "times_as_fast", "times_the_cost_of", "left_out", "instructions")
    tables = {name: _table(content.get(name, {}), name) for name in allowed}
    _known(content, allowed, "")
    pairs, instructions, faster = tables["pairs"], tables["instructions"], tables["times_as_fast"]
    _known(pairs, ("fast", "slow"), "pairs.")
    _known(instructions, ("cases", "left_out", "tolerance", "facts"), "instructions.")
    if faster and len(pairs) < 2:
        raise BadInput("times_as_fast needs pairs.fast and pairs.slow: the words that tell two cases apart")
    for name in faster:
        if name.count("*") != 1:
            raise BadInput(f"times_as_fast: {name!r} must have one `*`, where the word of the pair stands")
    return Bounds(
        fast=_text(pairs.get("fast", ""), "pairs.fast"),
        slow=_text(pairs.get("slow", ""), "pairs.slow"),
        times_as_fast=_numbers(faster, "times_as_fast"),
        times_the_cost_of={
            name: _numbers(_table(cases, f"times_the_cost_of.{name!r}"), f"times_the_cost_of.{name!r}")
            for name, cases in tables["times_the_cost_of"].items()
        },
        left_out={name: _text(why, f"left_out.{name!r}") for name, why in tables["left_out"].items()},
        counted=_texts(instructions.get("cases", []), "instructions.cases"),
        uncounted=_texts(instructions.get("left_out", []), "instructions.left_out"),
        tolerance=_number(instructions.get("tolerance", TOLERANCE), "instructions.tolerance"),
        facts=_facts(instructions.get("facts", [])),
    )


def _known(table: dict[str, Any], allowed: tuple[str, ...], where: str) -> None:
    if unknown := sorted(table.keys() - set(allowed)):
        raise BadInput(f"unknown key {where}{unknown[0]}; there are {', '.join(where + name for name in allowed)}")


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{where} must be a table, got {value!r}")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{where} must be a text, got {value!r}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadInput(f"{where} must be a list of texts, got {value!r}")
    return tuple(_text(item, where) for item in value)


def _facts(value: object) -> tuple[str, ...]:
    facts = _texts(value, "instructions.facts")
    for fact in facts:
        module, _, function = fact.partition(":")
        if not module or not function:
            raise BadInput(f"instructions.facts: {fact!r} must be MODULE:FUNCTION")
    return facts


def _number(value: object, where: str) -> float:
    # TOML knows nan and inf; a bool is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BadInput(f"{where} must be a number over 0, got {value!r}")
    return float(value)


def _numbers(table: dict[str, Any], where: str) -> dict[str, float]:
    return {name: _number(value, f"{where}.{name!r}") for name, value in table.items()}
