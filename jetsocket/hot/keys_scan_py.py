"""The scanner of the `keys` room in Python: the exact meaning of a channel key on any bytes, valid JSON or not.

The message is walked once, along the trie of the paths wanted. What is met on the way is treated in one of two ways.

*Walked* are the objects and arrays that a wanted path still leads through. Everything directly inside them is checked
strictly: separators, names, strings (escapes and control characters), numbers, literals (`NaN` and `Infinity` too, as
`json` has them). An object member whose path was found already, or is not needed any more, counts as unwanted, so the
first of two equal names wins.

*Skipped* are the objects and arrays inside those that no wanted path leads through, and the rest of one as soon as
nothing more is wanted from it. Of these only the end is looked for: strings are stepped over, brackets are counted
without regard to their kind, and a backslash takes the meaning from the byte behind it, inside a string or outside.

The walk ends the moment that the answer is certain; what lies behind is not looked at. A number must be followed by
white space, a comma or a bracket: the end of the data might have cut it short.
"""

from __future__ import annotations

import json
import re

from .key_grammar import KeyNode, KeyPlan

STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
LITERAL = rb"true|false|null|NaN|-?Infinity"
SPACE = rb"[ \t\n\r]*+"
DELIMITER = rb"(?=[ \t\n\r,\]}])"

_START = re.compile(rb"(?:\xef\xbb\xbf)?+" + SPACE)
_SPACE = re.compile(SPACE)
_STRING = re.compile(STRING)
_NUMBER = re.compile(NUMBER + DELIMITER)
_COLON = re.compile(SPACE + rb":" + SPACE)
_COMMA = re.compile(SPACE + rb"," + SPACE)
_LITERAL = re.compile(LITERAL)
_SCALAR = re.compile(STRING + rb"|" + NUMBER + rb"|" + LITERAL)
# Everything up to a bracket that counts; an unterminated string stops the match at its quotation mark.
_FLAT = re.compile(rb'(?:[^"\\\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\\.)*+', re.DOTALL)

_OPEN = frozenset(b"[{")
_CLOSE = frozenset(b"]}")


class _Certain(Exception):
    """The answer is certain: all that is needed was found, or the message has no channel."""


def text_of(raw: bytes) -> str:
    """The text of what stands between the quotation marks of a strictly checked JSON string.
    UnicodeDecodeError if its bytes are no UTF-8."""
    text = raw.decode("utf-8", "surrogatepass")
    if "\\" in text:
        unescaped = json.loads(f'"{text}"')
        assert isinstance(unescaped, str)
        return unescaped
    return text


def scan(plan: KeyPlan, data: bytes) -> str | None:
    """The channel of a message, None if it has none."""
    return Scan(plan, data).channel()


class Scan:
    """One walk over one message."""

    def __init__(self, plan: KeyPlan, data: bytes) -> None:
        self._plan = plan
        self._data = data
        self._pending = plan.mask  # paths that may still matter
        self._absent = 0
        self._found: dict[int, str] = {}  # by the path's bit
        self._failed = False

    def channel(self) -> str | None:
        start = _START.match(self._data)
        assert start is not None
        try:
            self._walk(start.end(), self._plan.root)
        except _Certain:
            pass
        if self._failed or self._pending:
            return None
        return self._render()

    def _render(self) -> str:
        pieces = []
        for part in self._plan.parts:
            pieces.append(part.text)
            present = part.alternatives & ~self._absent
            pieces.append(self._found[present & -present].encode("utf-8", "surrogatepass"))
        pieces.append(self._plan.tail)
        return b"".join(pieces).decode("utf-8", "surrogatepass")

    def _settle(self, *, absent: int = 0, unusable: int = 0, found: int = 0, text: str = "") -> None:
        """Note what became of some paths: absent, present without a usable value, or found."""
        absent &= self._pending
        found &= self._pending
        unusable &= self._pending
        self._absent |= absent
        self._pending &= ~(absent | unusable | found)
        while found:
            bit = found & -found
            self._found[bit] = text
            found ^= bit
        for part in self._plan.parts:
            alternatives = part.alternatives
            present = alternatives & ~self._absent
            first = present & -present
            if first in self._found:
                self._pending &= ~alternatives
            elif not first & self._pending:
                self._failed = True
                raise _Certain
        if not self._pending:
            raise _Certain

    def _fault(self) -> _Certain:
        self._failed = True
        return _Certain()

    def _walk(self, at: int, node: KeyNode) -> int:
        """Walk the value at `at`, which some pending path leads to; where it ends."""
        byte = self._data[at : at + 1]
        if byte == b"{":
            self._settle(unusable=node.leaf, absent=node.indexed)
            return self._object(at + 1, node) if node.named & self._pending else self._skip(at + 1)
        if byte == b"[":
            self._settle(unusable=node.leaf, absent=node.named)
            return self._array(at + 1, node) if node.indexed & self._pending else self._skip(at + 1)
        absent = node.named | node.indexed
        string = _STRING.match(self._data, at)
        if string is not None:
            try:
                text = text_of(string[0][1:-1])
            except UnicodeDecodeError:
                self._settle(absent=absent, unusable=node.leaf)
            else:
                self._settle(absent=absent, found=node.leaf, text=text)
            return string.end()
        number = _NUMBER.match(self._data, at)
        if number is not None:
            self._settle(absent=absent, found=node.leaf, text=number[0].decode("ascii"))
            return number.end()
        end = self._after(_LITERAL, at)
        self._settle(absent=absent, unusable=node.leaf)
        return end

    def _object(self, at: int, node: KeyNode) -> int:
        at = self._after(_SPACE, at)
        if self._data[at : at + 1] != b"}":
            while True:
                name = _STRING.match(self._data, at)
                if name is None:
                    raise self._fault()
                at = self._after(_COLON, name.end())
                child = self._child(node, name[0][1:-1])
                if child is not None and child.paths & self._pending:
                    at = self._walk(at, child)
                    if not node.named & self._pending:
                        return self._skip(at)
                else:
                    at = self._skip_value(at)
                comma = _COMMA.match(self._data, at)
                if comma is None:
                    at = self._after(_SPACE, at)
                    break
                at = comma.end()
        if self._data[at : at + 1] != b"}":
            raise self._fault()
        self._settle(absent=node.named)
        return at + 1

    def _child(self, node: KeyNode, raw: bytes) -> KeyNode | None:
        if b"\\" in raw:
            try:
                raw = text_of(raw).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                return None
        return node.names.get(raw)

    def _array(self, at: int, node: KeyNode) -> int:
        at = self._after(_SPACE, at)
        if self._data[at : at + 1] != b"]":
            index = 0
            while True:
                child = node.indices.get(index)
                if child is not None and child.paths & self._pending:
                    at = self._walk(at, child)
                    if not node.indexed & self._pending:
                        return self._skip(at)
                else:
                    at = self._skip_value(at)
                comma = _COMMA.match(self._data, at)
                if comma is None:
                    at = self._after(_SPACE, at)
                    break
                at = comma.end()
                index += 1
        if self._data[at : at + 1] != b"]":
            raise self._fault()
        self._settle(absent=node.indexed)
        return at + 1

    def _after(self, pattern: re.Pattern[bytes], at: int) -> int:
        match = pattern.match(self._data, at)
        if match is None:
            raise self._fault()
        return match.end()

    def _skip_value(self, at: int) -> int:
        if self._data[at : at + 1] in (b"{", b"["):
            return self._skip(at + 1)
        return self._after(_SCALAR, at)

    def _skip(self, at: int) -> int:
        """Where the object or array ends that `at` lies in."""
        data = self._data
        depth = 1
        while depth:
            flat = _FLAT.match(data, at)
            assert flat is not None
            at = flat.end()
            byte = data[at] if at < len(data) else -1
            if byte in _OPEN:
                depth += 1
            elif byte in _CLOSE:
                depth -= 1
            else:
                raise self._fault()
            at += 1
        return at
