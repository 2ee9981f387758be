from __future__ import annotations

from jetsocket.testing.dialects.faults import Faults, Refusal


def test_a_channel_s_own_refusal_comes_before_that_of_all() -> None:
    faults = Faults()
    faults.refusals["subscribe", None] = Refusal(1)
    faults.refusals["subscribe", "a"] = Refusal(2)
    assert faults.refusal("subscribe", "a") == Refusal(2)
    assert faults.refusal("subscribe", "b") == Refusal(1)
    assert faults.refusal("unsubscribe", "a") is None


def test_ignoring_is_counted_once_a_request() -> None:
    faults = Faults()
    faults.ignore("a", 1)
    faults.ignore(None, 2)
    assert [faults.ignores(["a", "b"]) for _ in range(4)] == [True, True, True, False]
    faults.ignore("b", None)
    assert [faults.ignores(["a", "b"]) for _ in range(3)] == [True] * 3
    assert not faults.ignores(["a"])


def test_accepting_a_channel_leaves_the_others() -> None:
    faults = Faults()
    for channel in ("a", "b"):
        faults.refusals["subscribe", channel] = Refusal()
        faults.refusals["unsubscribe", channel] = Refusal()
        faults.ignore(channel, None)
    faults.accept("a")
    assert faults.refusal("subscribe", "a") is faults.refusal("unsubscribe", "a") is None
    assert faults.refusal("subscribe", "b") == Refusal()
    assert (faults.ignores(["a"]), faults.ignores(["b"])) == (False, True)
    faults.accept(None)
    assert (faults.refusals, faults.ignores(["b"])) == ({}, False)
