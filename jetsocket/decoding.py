"""Payloads in, what the user asked for out; and the way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from .protocol import failures
from .reporting import FAILURES


class Decoding(NamedTuple):
    """How payloads are decoded: `bytes`, `str` or a function; and whether that is plain JSON."""

    decode: Callable[[bytes], Any]
    is_json: bool


def _msgspec() -> ModuleType | None:
    """msgspec, imported by the first who needs it; None where there is no build of it for this platform."""
    try:
        import msgspec  # noqa: PLC0415  # a third of what importing jetsocket would cost
    except ImportError:
        return None
    return msgspec


def _json_decoding() -> Decoding:
    msgspec = _msgspec()
    return Decoding(json.loads if msgspec is None else msgspec.json.Decoder().decode, True)


def make_decoding(deserializer: Callable[[bytes], Any] | None = None, message_type: Any = None) -> Decoding:
    """What the options `deserializer` and `message_type` ask for; JSON where both are None.

    `message_type`: a msgspec Struct, dataclass, TypedDict or whatever else msgspec decodes into, or a pydantic model.
    Raises TypeError for both, for a deserializer that is not callable, and for a type that nothing can decode into.
    """
    if deserializer is not None and message_type is not None:
        raise TypeError("give deserializer or message_type, not both: each says how a message is decoded")
    if deserializer is not None:
        if not callable(deserializer):
            raise TypeError(f"deserializer must be callable, got {type(deserializer).__name__} {deserializer!r}")
        return Decoding(deserializer, False)
    if message_type is None:
        return _json_decoding()
    # A pydantic model brings its own parser; asking for the method needs no import of pydantic.
    validate = getattr(message_type, "model_validate_json", None)
    if callable(validate):
        return Decoding(validate, False)
    msgspec = _msgspec()
    if msgspec is None:
        raise TypeError(f"message_type={message_type!r} needs msgspec, which is not installed: pip install msgspec")
    try:
        return Decoding(msgspec.json.Decoder(message_type).decode, False)
    except TypeError as error:
        raise TypeError(f"message_type={message_type!r}: nothing that JSON can be decoded into: {error}") from error


class Serializing:
    """What `send` does to a message: `str` goes as text and `bytes` as binary, as they are; the rest is serialised.

    What the serializer returns, `str` or the bytes of a text, is sent as text.
    """

    def __init__(self, serializer: Callable[[Any], str | bytes] | None = None) -> None:
        if serializer is not None and not callable(serializer):
            raise TypeError(f"serializer must be callable, got {type(serializer).__name__} {serializer!r}")
        self._serialize: Callable[[Any], str | bytes] = serializer or _json_encoder()
        name = "the JSON serializer" if serializer is None else getattr(serializer, "__qualname__", repr(serializer))
        self._name = name

    def __call__(self, message: Any) -> tuple[bytes, bool]:
        """The payload, and whether it is binary. TypeError for what cannot be serialised."""
        if isinstance(message, str):
            return message.encode(), False
        if isinstance(message, (bytes, bytearray, memoryview)):
            return bytes(message), True
        try:
            text = self._serialize(message)
        except FAILURES as error:  # whatever a serializer raises, it is about this message
            raise failures.unserialisable(self._name, message, error) from error
        if isinstance(text, str):
            return text.encode(), False
        if not isinstance(text, bytes):
            raise TypeError(f"send: {self._name} must return str or bytes, got {type(text).__name__}")
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise TypeError(f"send: {self._name} returned bytes that are no text; use send_raw() for binary") from error
        return text, False


def _json_encoder() -> Callable[[Any], str | bytes]:
    msgspec = _msgspec()
    if msgspec is None:
        return json.JSONEncoder(separators=(",", ":")).encode
    encode: Callable[[Any], bytes] = msgspec.json.encode
    return encode
