from __future__ import annotations

import builtins
import copy
import pickle

import pytest

from jetsocket import errors
from jetsocket.errors import without_userinfo

SAMPLES = [
    errors.JetSocketError("text", hint="do this"),
    errors.ConnectionError("text", uri="ws://h", phase="connect", elapsed=0.5, attempt=2, retry_in=1.5),
    errors.CertificateError("text", phase="tls"),
    errors.HandshakeError("text", status_code=429, headers=[("Retry-After", "7")], body=b"slow down", retry_after=7.0),
    errors.ProtocolError("text", code=1009),
    errors.CloseError("text", code=1008, reason="bad token", by="server"),
    errors.TimeoutError(2.5, "recv"),
    errors.TimeoutError(2.5, "recv", "another text", phase="open"),
    errors.InvalidStateError("idle", ("connected", "connecting"), "send"),
    errors.InvalidURIError("text", uri="x"),
    errors.BufferOverflowError("text"),
    errors.DecodeError("text", raw=b"\xff", channel="btcusdt@trade"),
    errors.SubscriptionError("text", channel="x", code=-1121, message="Invalid symbol.", raw=b"{}"),
    errors.MissingExtraError("text", extra="cli"),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "deep", "pickle"]
)
def test_a_clone_says_and_knows_the_same(error, clone):
    other = clone(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.args == error.args
    assert vars(other) == vars(error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_the_root_catches_all(error):
    assert isinstance(error, errors.JetSocketError)


@pytest.mark.parametrize(
    "ours, builtin",
    [
        (errors.ConnectionError, builtins.ConnectionError),
        (errors.ConnectionError, OSError),
        (errors.TimeoutError, builtins.TimeoutError),
        (errors.InvalidURIError, ValueError),
        (errors.DecodeError, ValueError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_is_the_builtin_that_people_catch(ours, builtin):
    assert issubclass(ours, builtin)


@pytest.mark.parametrize(
    "child", [errors.CertificateError, errors.HandshakeError, errors.ProtocolError, errors.CloseError]
)
def test_whatever_ends_a_connection_is_a_connection_error(child):
    assert issubclass(child, errors.ConnectionError)


def test_facts_default_to_none():
    error = errors.ConnectionError("text")
    assert (error.uri, error.phase, error.elapsed, error.attempt, error.retry_in, error.hint) == (None,) * 6


def test_an_unknown_fact_is_refused():
    with pytest.raises(TypeError, match=r"ConnectionError\(\) got an unexpected keyword argument 'url'"):
        errors.ConnectionError("text", url="ws://h")


@pytest.mark.parametrize(
    "error, retryable",
    [
        (errors.ConnectionError("x"), True),
        (errors.TimeoutError(1.0, "connect"), True),
        (errors.ProtocolError("x"), True),
        (errors.CertificateError("x"), False),
        *((errors.HandshakeError("x", status_code=code), False) for code in (401, 403, 404, 410)),
        *((errors.HandshakeError("x", status_code=code), True) for code in (None, 200, 400, 429, 500, 503)),
        *((errors.CloseError("x", code=code), False) for code in (1008, 4401, 4403)),
        *((errors.CloseError("x", code=code), True) for code in (1000, 1001, 1006, 1012, 4000)),
        (errors.HandshakeError("x", status_code=302, retryable=False), False),
        (errors.InvalidStateError("closed"), False),
    ],
)
def test_what_is_worth_trying_again(error, retryable):
    assert error.retryable is retryable


def test_timeout_says_what_and_how_long():
    error = errors.TimeoutError(2.5, "recv")
    assert (error.timeout, error.operation) == (2.5, "recv")
    assert str(error) == "recv timed out after 2.5 s"


def test_invalid_state_says_what_would_be_allowed():
    error = errors.InvalidStateError("idle", ("connected", "connecting"), "send")
    assert str(error) == "cannot send: the state is idle, must be connected or connecting"
    assert (error.current_state, error.required_states) == ("idle", ("connected", "connecting"))
    assert str(errors.InvalidStateError("closed")) == "cannot do this: the state is closed"
    assert errors.InvalidStateError("closed", "idle").required_states == ("idle",)


def test_a_missing_extra_prints_the_pip_command():
    error = errors.MissingExtraError.needed_by("jetsocket demo", "cli")
    assert str(error) == "jetsocket demo needs an extra that is not installed: pip install 'jetsocket[cli]'"
    assert error.extra == "cli"


@pytest.mark.parametrize(
    "uri, shown",
    [
        ("ws://user:secret@host/path", "ws://host/path"),
        ("ws://user:se@cret@host/path", "ws://host/path"),
        ("ws://host/btcusdt@trade", "ws://host/btcusdt@trade"),
        ("ws://host/?next=http://a@b", "ws://host/?next=http://a@b"),
        ("user:secret@host:80", "host:80"),
        ("//user:secret@host", "//host"),
        ("ws://host", "ws://host"),
        ("", ""),
    ],
)
def test_user_information_is_cut_out(uri, shown):
    assert without_userinfo(uri) == shown
    assert errors.ConnectionError("text", uri=uri).uri == shown


def test_reworded_keeps_the_facts():
    error = errors.CloseError("text", code=1008)
    assert error.reworded("another") is error
    assert (str(error), error.code) == ("another", 1008)
