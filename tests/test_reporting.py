"""What the log says of a user's function that raised."""

from __future__ import annotations

import logging

import pytest

from jetsocket.reporting import place_of, report

logger = logging.getLogger("jetsocket.connection")


def raises() -> None:
    raise KeyError("the message itself")


def caught() -> KeyError:
    """An error with a traceback of two steps."""
    try:
        raises()
    except KeyError as error:
        return error
    raise AssertionError


def test_the_place_is_where_it_was_raised():
    line = raises.__code__.co_firstlineno + 1
    assert place_of(caught()) == f"KeyError in raises (test_reporting.py:{line})"
    assert place_of(KeyError("the message itself")) == "KeyError"


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_the_place_at_the_level_and_the_words_at_debug(caplog: pytest.LogCaptureFixture, level: int):
    caplog.set_level(logging.DEBUG, "jetsocket")
    error = caught()
    report(logger, level, error, "a 100 % of the handlers raised")
    short, long = caplog.records
    assert (short.levelno, short.getMessage()) == (level, f"a 100 % of the handlers raised: {place_of(error)}")
    assert short.exc_info is None
    assert (long.levelno, long.getMessage()) == (logging.DEBUG, "a 100 % of the handlers raised, in full")
    assert long.exc_info is not None
    assert long.exc_info[1] is error
    # Whoever reports is the place in the log, not the function that writes it.
    assert {record.filename for record in caplog.records} == {"test_reporting.py"}
