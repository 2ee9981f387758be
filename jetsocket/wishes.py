"""What somebody who subscribes asks for beside a channel: on which terms, and how its messages are decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .decoding import Decoding, make_decoding
from .hot import Sequence
from .protocol import failures
from .terms import TermOptions, Terms

if TYPE_CHECKING:
    from typing import Literal, Required

    from .subscription import Subscription
    from .terms import QueueOptions, Recover

    # For the signatures of `Offers`: what type checkers tell apart.

    class Plain(QueueOptions, total=False):
        """The keywords of one who is not told of gaps: items are messages."""

        timeout: float | None
        events: Literal[False]
        recover: None

    class Telling(QueueOptions, total=False):
        """Of one who is: items are messages and gaps."""

        timeout: float | None
        events: Required[Literal[True]]
        recover: Recover | None

    class Recovering(QueueOptions, total=False):
        """Of one who has gaps healed: they are items too."""

        timeout: float | None
        events: bool
        recover: Required[Recover]

    class Unknown(TermOptions, total=False):
        """Of one of whom that is not known when types are checked."""

        timeout: float | None
        deserializer: Callable[[bytes], Any] | None
        message_type: type[Any] | None


# A subscription's own note of what was given for it.
Given = tuple[tuple[str, Any], ...]


class Wish(NamedTuple):
    """The terms as a whole; the decoding, None for the others'; and of all that what was `given` in the call itself."""

    terms: Terms
    decoding: Decoding | None
    given: Given


class Wishes:
    """Of one Multiplex's users: where they give nothing, its own `terms`, `deserializer` and `message_type` hold."""

    def __init__(self, terms: Terms, deserializer: Any, message_type: Any) -> None:
        self._terms = terms
        self._own = {field.name: getattr(terms, field.name) for field in fields(terms)}
        self._own |= {"deserializer": deserializer, "message_type": message_type}

    def wish(self, function: str, deserializer: Any, message_type: Any, terms: Mapping[str, Any]) -> Wish:
        """What `function` was given, checked. Raises TypeError or ValueError."""
        for name in terms:
            if name not in TermOptions.__optional_keys__:
                shared = ("shared",) if function == "subscribe" else ()
                known = ("timeout", *shared, "deserializer", "message_type", *TermOptions.__optional_keys__)
                raise failures.unknown_option(function, name, known)
        whole = replace(self._terms, **terms) if terms else self._terms
        if whole.sequence is not None and not whole.tells_gaps:
            raise ValueError("sequence needs events=True or recover=: nobody else is told of a break in it")
        if deserializer is None and message_type is None:
            return Wish(whole, None, tuple(terms.items()))
        # Each of the two takes the other's place.
        how = {"deserializer": deserializer, "message_type": message_type}
        return Wish(whole, make_decoding(deserializer, message_type), (*terms.items(), *how.items()))

    def check_same(self, subscription: Subscription[Any], wish: Wish) -> None:
        """ValueError where `subscription`, which is there already, is not what is wished for."""
        there = self._own | dict(subscription.given)
        other = {name: there[name] for name, value in wish.given if _rule(value) != _rule(there[name])}
        if other:
            on = ", ".join(f"{name}={value!r}" for name, value in other.items())
            text = f"{subscription.channel!r} is subscribed to already on other terms ({on})"
            raise ValueError(f"{text}; use shared=False for one of its own, or close it first")


def _rule(value: Any) -> Any:
    """What makes two of a kind equal: a Sequence goes by its paths."""
    if isinstance(value, Sequence):
        return (value.path, value.previous, value.first) if value.previous or value.first else value.path
    return value
