"""ChannelKey: the channel of a raw JSON message.

Theory of operation. Almost every message of a feed has its channel in the same, simple place, so the first attempt is
one regular expression a path that does in C what the scanner would do: it steps over the members before the wanted
name, nested ones included, and takes a plain string or a number. Whatever it cannot tell (escapes, deep nesting,
absent paths, invalid JSON) goes on to `json`, if `json` is sure to agree with the scanner, and else to the scanner
itself, whose word is law (see `keys_scan_py`).
"""

from __future__ import annotations

import json
import re

from .key_grammar import NOT_PARSED, KeyNode, Path, is_plain, lead_of, plan_of
from .keys_scan_py import DELIMITER, LITERAL, NUMBER, SPACE, scan

__all__ = ["NOT_PARSED", "ChannelKey", "simd_level"]

_BOM = rb"(?:\xef\xbb\xbf)?+"
_PLAIN = rb'"[^"\\\x00-\x1f]*+"'
_RUN = rb'[^"\\\[\]{}]*+(?:"[^"\\]*+"[^"\\\[\]{}]*+)*+'
_NESTED = rb"[\[{]" + _RUN + rb"[\]}]"
for _ in range(2):  # an order book is three levels deep
    _NESTED = rb"[\[{]" + _RUN + rb"(?:" + _NESTED + _RUN + rb")*+[\]}]"
_VALUE = rb"(?:" + _PLAIN + rb"|" + NUMBER + rb"|" + _NESTED + rb"|" + LITERAL + rb")"
_NEXT = SPACE + rb"," + SPACE
_WANTED = rb'(?:"([^"\\\x00-\x1f]*+)"|(' + NUMBER + rb")" + DELIMITER + rb")"
_MAX_REPEAT = 10_000  # an index beyond it is left to the scanner: the expression would not be small any more


def simd_level() -> str:
    """The vector instructions that the scanner uses: none."""
    return "none"


class ChannelKey:
    """Where the channel stands in a message, and how to read it from the raw bytes.

    `spec` is a path (`stream`, `params.channel`, `data[0].symbol`, `[0]`, `"a.b".c`), alternatives (`a|b`: the first
    that is present), or a template of them (`{arg.channel}:{arg.instId|arg.instFamily}`). ValueError if it is not.

    A string gives its unescaped text, a number its literal text; anything else means that the message has no channel.
    Of two equal names the first one wins. The message is read as far as needed and no farther, and nested values that
    no path leads through are only checked for strings and the balance of brackets, so not every fault of a message
    that is invalid JSON is noticed.
    """

    __slots__ = ("_by_json", "_first", "_names", "_others", "_plan", "_spec", "lead")

    def __init__(self, spec: str) -> None:
        self._plan = plan_of(spec)
        self._spec = spec
        self._first: re.Pattern[bytes] | None = None  # for a key that is one path
        self._others: tuple[re.Pattern[bytes], ...] = ()  # for a template, one for each part
        paths = self._plan.paths
        groups = [paths[part.first : part.first + part.count] for part in self._plan.parts]
        patterns = [_pattern_of(group[0]) for group in groups if _first_decides(group)]
        compiled = tuple(re.compile(pattern) for pattern in patterns if pattern is not None)
        self.lead = lead_of(self._plan)  # for the Router
        if self._plan.bare:
            shortcut = re.escape(self.lead) + rb'([^"\\\x00-\x1f]*+)"|' if self.lead else b""
            self._first = re.compile(shortcut + compiled[0].pattern) if compiled else None
        elif len(compiled) == len(groups):
            self._others = compiled
        names = _names_of(self._plan.root)
        self._names = tuple(b'"' + name + b'"' for name in sorted(names))
        self._by_json = all(map(is_plain, names))

    @property
    def spec(self) -> str:
        return self._spec

    def __repr__(self) -> str:
        return f"ChannelKey({self._spec!r})"

    def __reduce__(self) -> tuple[type[ChannelKey], tuple[str]]:
        return (ChannelKey, (self._spec,))

    def find(self, payload: bytes) -> str | None:
        """The channel of a message, None if it has none."""
        if self._first is not None and payload.__class__ is bytes:  # as in find_parsed, without its call and tuple
            match = self._first.match(payload)
            if match is not None:
                try:
                    return match[match.lastindex or 0].decode()
                except UnicodeDecodeError:
                    return scan(self._plan, payload)
        return self.find_parsed(payload)[0]

    def find_parsed(self, payload: bytes) -> tuple[str | None, object]:
        """The channel, and the message as `json.loads` has it, or NOT_PARSED if that was not needed."""
        if payload.__class__ is not bytes:
            raise TypeError(f"a message must be bytes, got {type(payload).__name__}")
        if self._first is not None:
            match = self._first.match(payload)
            if match is not None:
                try:
                    return match[match.lastindex or 0].decode(), NOT_PARSED
                except UnicodeDecodeError:
                    return scan(self._plan, payload), NOT_PARSED
        elif self._others:
            channel = self._template(payload)
            if channel is not None:
                return channel, NOT_PARSED
        return self._thorough(payload)

    def _template(self, payload: bytes) -> str | None:
        pieces = []
        for part, pattern in zip(self._plan.parts, self._others, strict=True):
            match = pattern.match(payload)
            if match is None:
                return None
            pieces.append(part.text)
            pieces.append(match[match.lastindex or 0])
        pieces.append(self._plan.tail)
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError:
            return None

    def _thorough(self, payload: bytes) -> tuple[str | None, object]:
        # json.loads says the same as the scanner if the message is valid, no wanted name can stand in it twice, and
        # no number is asked for (whose literal text it loses).
        if not self._by_json or b"\\" in payload or any(payload.count(name) > 1 for name in self._names):
            return scan(self._plan, payload), NOT_PARSED
        try:
            parsed = json.loads(payload.decode())
        except (ValueError, RecursionError):  # invalid, or only too deep or too long a number for `json`
            return scan(self._plan, payload), NOT_PARSED
        pieces = []
        for part in self._plan.parts:
            pieces.append(part.text.decode("utf-8", "surrogatepass"))
            value: object = None
            for path in self._plan.paths[part.first : part.first + part.count]:
                present, value = _follow(parsed, path)
                if present:
                    break
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return scan(self._plan, payload), parsed
            if not isinstance(value, str):
                return None, parsed
            pieces.append(value)
        pieces.append(self._plan.tail.decode("utf-8", "surrogatepass"))
        return "".join(pieces), parsed


def _follow(value: object, path: Path) -> tuple[bool, object]:
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return False, None
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value):
                return False, None
            value = value[step]
    return True, value


def _first_decides(alternatives: tuple[Path, ...]) -> bool:
    """Whether the first of some paths, where it is found, makes the others meaningless for any message: they must not
    lead the scanner into objects that it would check strictly for their sake alone."""
    parent = alternatives[0][:-1]
    return all(parent[: len(path) - 1] == path[:-1] for path in alternatives)


def _names_of(node: KeyNode) -> set[bytes]:
    names = set(node.names)
    for child in (*node.names.values(), *node.indices.values()):
        names |= _names_of(child)
    return names


def _pattern_of(path: Path) -> bytes | None:
    """What finds the value of a path where the message is simple enough; None for a path that is not."""
    pattern = _BOM + SPACE
    for step in path:
        if isinstance(step, str):
            name = step.encode("utf-8", "surrogatepass")
            if not is_plain(name):
                return None
            quoted = b'"' + re.escape(name) + b'"'
            other = rb"(?!" + quoted + rb")" + _PLAIN + SPACE + rb":" + SPACE + _VALUE + _NEXT
            pattern += rb"\{" + SPACE + rb"(?:" + other + rb")*+" + quoted + SPACE + rb":" + SPACE
        else:
            if step > _MAX_REPEAT:
                return None
            pattern += rb"\[" + SPACE + rb"(?:" + _VALUE + _NEXT + rb"){%d}+" % step
    return pattern + _WANTED
