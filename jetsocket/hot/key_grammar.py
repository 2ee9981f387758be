"""The grammar of a channel key, and what both twins make of it: a trie of the paths to look for.

::

    spec         = alternatives | template
    template     = { text | "{" alternatives "}" }          "{{" and "}}" are literal braces in the text
    alternatives = path { "|" path }                        the first that is present
    path         = ( name | index ) { "." name | index }
    name         = bare | quoted                            quoted: a JSON string, for names with odd characters
    bare         = one or more characters, none of . [ ] { } | " or white space or control characters
    index        = "[" digits "]"

A spec is a template if a brace stands outside its quoted names. Paths are numbered from left to right; sets of paths
are bit masks, so that walking a message is arithmetic in either twin.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]
Piece: TypeAlias = str | tuple[Path, ...]

MAX_PATHS = 64
MAX_STEPS = 64
MAX_INDEX = 2**31 - 1

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BARE = re.compile(r'[^.\[\]{}|"\s\x00-\x1f\x7f-\x9f]+')
_INDEX = re.compile(r"\[(0|[1-9][0-9]*)\]", re.ASCII)
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*+')
_TEXT = re.compile(r"(?:[^{}]|\{\{|\}\})+")


class _NotParsed:
    def __repr__(self) -> str:
        return "NOT_PARSED"

    def __reduce__(self) -> str:
        return "NOT_PARSED"


NOT_PARSED: Final = _NotParsed()
"""Stands for the parsed message in `ChannelKey.find_parsed` where nobody had to parse it."""


@dataclass(slots=True, eq=False)
class KeyNode:
    """One place in the message that some path goes through or ends at."""

    names: dict[bytes, KeyNode] = field(default_factory=dict)
    indices: dict[int, KeyNode] = field(default_factory=dict)
    leaf: int = 0
    """The paths that end here; `named` and `indexed` are those that go on by a name or by an index."""
    named: int = 0
    indexed: int = 0

    @property
    def paths(self) -> int:
        return self.leaf | self.named | self.indexed


@dataclass(frozen=True, slots=True)
class KeyPart:
    """Text, and behind it the value of the first present path of `count` paths from number `first` on."""

    text: bytes
    first: int
    count: int

    @property
    def alternatives(self) -> int:
        return (1 << self.first + self.count) - (1 << self.first)


class KeyPlan(NamedTuple):
    """A spec, read: `tail` is the text behind the last part; `paths` are all paths by their number."""

    root: KeyNode
    parts: tuple[KeyPart, ...]
    tail: bytes
    paths: tuple[Path, ...]

    @property
    def mask(self) -> int:
        """All paths."""
        return (1 << len(self.paths)) - 1

    @property
    def bare(self) -> bool:
        """Whether the channel is the value of one path and nothing else."""
        return len(self.paths) == 1 and not self.tail and not self.parts[0].text


def plan_of(spec: str) -> KeyPlan:
    """Read a spec. ValueError says what is wrong and where; TypeError if it is no str."""
    if not isinstance(spec, str):
        raise TypeError(f"a channel key must be a str, got {type(spec).__name__} {spec!r}")
    root = KeyNode()
    parts: list[KeyPart] = []
    paths: list[Path] = []
    text = ""
    for piece in parse(spec):
        if isinstance(piece, str):
            text += piece
            continue
        parts.append(KeyPart(text.encode("utf-8", "surrogatepass"), len(paths), len(piece)))
        text = ""
        for path in piece:
            if len(paths) == MAX_PATHS:
                raise ValueError(f"channel key {spec!r} has more than {MAX_PATHS} paths")
            _grow(root, path, 1 << len(paths))
            paths.append(path)
    return KeyPlan(root, tuple(parts), text.encode("utf-8", "surrogatepass"), tuple(paths))


def is_plain(name: bytes) -> bool:
    """Whether JSON can write the name without an escape."""
    return _PLAIN.fullmatch(name) is not None


def lead_of(plan: KeyPlan) -> bytes:
    """How a message begins that has no white space and the value of the plan's one path, a string, first in it, up to
    the opening quotation mark of that string. Empty if the plan has more than one path, or no message can be so."""
    if not plan.bare:
        return b""
    lead = b""
    for step in plan.paths[0]:
        if isinstance(step, str):
            name = step.encode("utf-8", "surrogatepass")
            if not is_plain(name):
                return b""
            lead += b'{"' + name + b'":'
        elif step == 0:
            lead += b"["
        else:
            return b""
    return lead + b'"'


def _grow(node: KeyNode, path: Path, bit: int) -> None:
    for step in path:
        if isinstance(step, str):
            node.named |= bit
            node = node.names.setdefault(step.encode("utf-8", "surrogatepass"), KeyNode())
        else:
            node.indexed |= bit
            node = node.indices.setdefault(step, KeyNode())
    node.leaf |= bit


def parse(spec: str) -> list[Piece]:
    """The pieces of a spec from left to right: text, or the alternatives of one part."""
    if not spec:
        raise ValueError("the channel key is empty; name where the channel stands, such as 'stream' or 'arg.channel'")
    if not _is_template(spec):
        alternatives, end = _alternatives(spec, 0)
        if end < len(spec):
            raise _error(spec, end, f"unexpected {spec[end]!r}")
        return [alternatives]
    pieces: list[Piece] = []
    position = 0
    while position < len(spec):
        text = _TEXT.match(spec, position)
        if text is not None:
            pieces.append(text[0].replace("{{", "{").replace("}}", "}"))
            position = text.end()
            continue
        if spec[position] == "}":
            raise _error(spec, position, "'}' closes nothing (write '}}' for a literal brace)")
        alternatives, end = _alternatives(spec, position + 1)
        if end == len(spec):
            raise _error(spec, position, "'{' is never closed (write '{{' for a literal brace)")
        if spec[end] != "}":
            raise _error(spec, end, f"unexpected {spec[end]!r}")
        pieces.append(alternatives)
        position = end + 1
    if all(isinstance(piece, str) for piece in pieces):
        raise ValueError(f"channel key {spec!r} has no path in it, only text")
    return pieces


def _is_template(spec: str) -> bool:
    position = 0
    may_quote = True  # a quoted name can only stand where a step of a path begins
    while position < len(spec):
        character = spec[position]
        if character in "{}":
            return True
        quoted = _QUOTED.match(spec, position) if may_quote else None
        may_quote = character in ".|"
        position = position + 1 if quoted is None else quoted.end()
    return False


def _alternatives(spec: str, position: int) -> tuple[tuple[Path, ...], int]:
    paths: list[Path] = []
    while True:
        path, position = _path(spec, position)
        paths.append(path)
        if not spec.startswith("|", position):
            return tuple(paths), position
        position += 1


def _path(spec: str, position: int) -> tuple[Path, int]:
    start = position
    steps: list[Step] = []
    if not spec.startswith("[", position):
        name, position = _name(spec, position)
        steps.append(name)
    while position < len(spec) and spec[position] in ".[":
        if spec[position] == ".":
            name, position = _name(spec, position + 1)
            steps.append(name)
        else:
            index, position = _index(spec, position)
            steps.append(index)
    if len(steps) > MAX_STEPS:
        raise _error(spec, start, f"a path of more than {MAX_STEPS} steps begins")
    return tuple(steps), position


def _name(spec: str, position: int) -> tuple[str, int]:
    if spec.startswith('"', position):
        quoted = _QUOTED.match(spec, position)
        if quoted is None:
            raise _error(spec, position, "the quoted name is never closed, it begins")
        try:
            name = json.loads(quoted[0])
        except ValueError as error:
            raise _error(spec, position, f"the quoted name {quoted[0]} is no JSON string, it begins") from error
        assert isinstance(name, str)
        return name, quoted.end()
    bare = _BARE.match(spec, position)
    if bare is None:
        found = f"found {spec[position]!r}" if position < len(spec) else "found the end,"
        raise _error(spec, position, f"expected a name or an index, {found}")
    return bare[0], bare.end()


def _index(spec: str, position: int) -> tuple[int, int]:
    match = _INDEX.match(spec, position)
    if match is None:
        raise _error(spec, position, "an index is digits between '[' and ']'; no such index")
    # Length first: int() of a very long text is refused by Python itself, in words about another matter.
    if len(match[1]) > len(str(MAX_INDEX)) or int(match[1]) > MAX_INDEX:
        raise _error(spec, position, f"an index of more than {MAX_INDEX}")
    return int(match[1]), match.end()


def _error(spec: str, position: int, what: str) -> ValueError:
    return ValueError(f"channel key {spec!r}: {what} at position {position}")
