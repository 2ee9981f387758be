"""What the log says of a user's function that raised: its own words may quote a message, and those are for DEBUG."""

from __future__ import annotations

import asyncio
import logging
from os.path import basename

# What a user's function may raise to whoever calls it. CancelledError too: the `result()` of a task that was cancelled
# raises it, and no task of ours is cancelled by that.
FAILURES = (Exception, asyncio.CancelledError)


def place_of(error: BaseException) -> str:
    """The kind of `error` and where it was raised, without a word of its text: "KeyError in price (feed.py:12)"."""
    kind = type(error).__name__
    traceback = error.__traceback__
    if traceback is None:
        return kind
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    return f"{kind} in {code.co_name} ({basename(code.co_filename)}:{traceback.tb_lineno})"


def report(logger: logging.Logger, level: int, error: BaseException, text: str) -> None:
    """Log `text` with the place of `error` at `level`, and the error as it is at DEBUG."""
    logger.log(level, "%s: %s", text, place_of(error), stacklevel=2)
    logger.debug("%s, in full", text, exc_info=error, stacklevel=2)
