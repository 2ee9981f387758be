"""Whose answer an answer is: requests by number, by channel, by age; and those that nobody answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetsocket.requests import FIRST_NUMBER, Request, Requests
from jetsocket.venue import Reply


def opened(
    *asked: list[str], action: Any = "subscribe", patience: float = 60.0, one_at_a_time: bool = False
) -> tuple[Requests, list[Request]]:
    requests = Requests(patience, lambda _: None, one_at_a_time=one_at_a_time)
    made = []
    for channels in asked:
        request = Request(requests.next_number(), action, channels)
        requests.add(request)
        made.append(request)
    return requests, made


async def test_numbers_begin_where_no_user_does_and_never_come_again():
    requests, (first, second) = opened(["a"], ["b"])
    assert (first.number, second.number) == (FIRST_NUMBER, FIRST_NUMBER + 1)
    requests.clear()
    assert len(requests) == 0
    assert requests.next_number() == FIRST_NUMBER + 2
    # A late answer of the connection before.
    assert requests.answered_by(Reply("accepted", request_id=FIRST_NUMBER)) is None


@pytest.mark.parametrize("request_id", [FIRST_NUMBER + 1, str(FIRST_NUMBER + 1), float(FIRST_NUMBER + 1)])
async def test_an_answer_is_matched_by_its_number(request_id: Any):
    requests, (_, second) = opened(["a"], ["b"])
    assert requests.answered_by(Reply("accepted", request_id=request_id)) is second
    # The number wins over channels.
    assert requests.answered_by(Reply("accepted", channels=("a",), request_id=request_id)) is second
    requests.clear()


@pytest.mark.parametrize(
    "request_id", ["", "x", "1.5", 1, FIRST_NUMBER + 1, -1, float("inf"), float("nan"), "9" * 5000, [], {}]
)
async def test_a_number_that_is_none_of_ours_is_nobody_s(request_id: Any):
    requests, _ = opened(["a"])
    assert requests.answered_by(Reply("accepted", request_id=request_id)) is None
    requests.clear()


@pytest.mark.parametrize(
    "channels, action, found",
    [
        (("a",), None, 0),
        (("c",), None, 1),
        (("c", "d:x"), None, 1),
        ((":x",), None, 1),
        (("a", "c"), None, None),
        (("z",), None, None),
        ((":z",), None, None),
        (("a",), "subscribe", 0),
        (("a",), "unsubscribe", None),
        ((), None, None),
        ((), "subscribe", None),
        ((), "unsubscribe", None),
    ],
)
async def test_else_by_its_channels_and_with_neither_it_is_nobodys(
    channels: tuple[str, ...], action: Any, found: int | None
):
    requests, made = opened(["a", "b"], ["c", "d:x"])
    answered = requests.answered_by(Reply("accepted", action, channels))
    assert answered is (None if found is None else made[found])
    requests.clear()


async def test_what_names_neither_is_of_the_one_request_where_there_is_never_another():
    requests, (request,) = opened(["a", "b"], one_at_a_time=True)
    assert requests.answered_by(Reply("refused", "unsubscribe")) is None
    assert requests.answered_by(Reply("refused")) is request
    requests.clear()


async def test_a_channel_that_has_its_answer_is_not_asked_for_any_more():
    requests, (request,) = opened(["a", "b"])
    requests.settle(request, "a")
    requests.settle(request, "a")
    requests.settle(request, "no such")
    assert requests.answered_by(Reply("accepted", channels=("a",))) is None
    assert list(request.pending) == ["b"]
    assert request.channels == ["a", "b"]
    requests.settle(request, "b")
    assert (len(requests), request.timer) == (0, None)
    assert requests.answered_by(Reply("refused")) is None


async def test_what_is_not_answered_in_time_is_silent_once():
    told: asyncio.Queue[Request] = asyncio.Queue()
    requests = Requests(0.01, told.put_nowait)
    silent = Request(requests.next_number(), "subscribe", ["a", "b"])
    settled = Request(requests.next_number(), "subscribe", ["c"])
    never = Request(requests.next_number(), "subscribe", ["d"])
    requests.add(silent)
    requests.add(settled)
    requests.add(never, answered=False)
    requests.settle(settled, "c")
    requests.settle(silent, "a")
    assert await asyncio.wait_for(told.get(), 2) is silent
    assert list(silent.pending) == ["b"]
    assert list(requests) == [never]
    # Too late: it is nobody's any more.
    assert requests.answered_by(Reply("accepted", request_id=silent.number)) is None
    requests.close(silent)
    requests.clear()
    assert told.empty()


async def test_time_in_which_nothing_is_read_does_not_count():
    told: asyncio.Queue[Request] = asyncio.Queue()
    looks = 0

    def held_up() -> bool:
        nonlocal looks
        looks += 1
        return looks <= 30

    requests = Requests(0.01, told.put_nowait, held_up=held_up)
    request = Request(requests.next_number(), "subscribe", ["a"])
    requests.add(request)
    assert await asyncio.wait_for(told.get(), 2) is request
    assert looks == 40


async def test_of_a_lost_connection_nothing_is_silent():
    told: list[Request] = []
    requests = Requests(0.01, told.append)
    request = Request(requests.next_number(), "subscribe", ["a"])
    requests.add(request)
    timer = request.timer
    assert timer is not None
    requests.clear()
    assert timer.cancelled()
    again: asyncio.Queue[Request] = asyncio.Queue()
    later = Requests(0.02, again.put_nowait)
    later.add(Request(1, "subscribe", ["a"]))
    await asyncio.wait_for(again.get(), 2)
    assert told == []


async def test_they_may_be_closed_while_they_are_gone_through():
    requests, made = opened(["a"], ["b"], ["c"])
    for request in requests:
        requests.close(request)
    assert len(made) == 3
    assert len(requests) == 0
