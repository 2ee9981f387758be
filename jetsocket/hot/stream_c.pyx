# cython: language_level=3
"""Delivers the messages of a ring to the tasks that wait for them.

`async for` costs a Python program more in the awaiting than in the taking. `__anext__` therefore gives an awaitable of
our own, `Next`, which takes its message when it is awaited, not before: one that is never awaited, or whose task is
cancelled first, takes none. The slots that the interpreter asks an awaitable for its value through are filled by hand
(see awaiting.h), so that no StopIteration has to be made for it. Only where there is nothing to take does a coroutine
(`ready`) wait on a future.

The Python twin is `stream_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t

from asyncio import get_running_loop, sleep

from ..errors import DecodeError, InvalidStateError, TimeoutError

from .ring_c cimport MessageRing

from .stream_py import _expire, undecodable

cdef extern from "awaiting.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*awaiting_send_t)(PyObject*, PyObject*, PyObject**)
    void awaiting_fill_slots(type kind, awaiting_send_t send)
    void awaiting_forget()
    PySendResult PyIter_Send(object iterator, object value, PyObject** result) noexcept
    void Py_INCREF(object)
    void Py_DECREF(PyObject*)

cdef enum:
    # After so many messages without a pause a consumer lets the event loop run once, so that no queue, however long,
    # holds up the other tasks.
    PATIENCE = 1024

    AS_BYTES = 0
    AS_TEXT = 1
    CALL = 2

    ONE = 0
    MESSAGE = 1
    BATCH = 2


@cython.freelist(64)
cdef class Message:
    """One message with what is known of it."""

    cdef readonly bytes data
    cdef bint is_binary
    cdef readonly int64_t received_ns
    cdef MessageStream stream

    def __init__(self, bytes data not None, bint binary, int64_t received_ns, MessageStream stream not None):
        self.data = data
        self.is_binary = binary
        self.received_ns = received_ns
        self.stream = stream

    @property
    def binary(self):
        return bool(self.is_binary)

    def decode(self):
        """What plain iteration would have given for this message. Raises DecodeError where that cannot be decoded."""
        if self.stream is None:
            raise TypeError("a Message of no stream cannot be decoded")
        return self.stream.decoded(self.data)

    def __repr__(self):
        kind = "binary" if self.is_binary else "text"
        return f"Message({kind}, {len(self.data)} bytes, received_ns={self.received_ns})"


cdef class MessageStream:
    """The consuming side of `ring`: waiting, decoding, ending.

    `decode` is `bytes` (the payload as it is), `str` (its text), or any callable of the payload. `json` says that
    `decode` is plain JSON decoding, so that a payload already parsed need not be parsed again. `name` is for errors.
    Any number of tasks may wait; each message goes to one of them.
    """

    cdef readonly MessageRing ring
    cdef readonly object name
    cdef object _decode
    cdef int how
    cdef int run
    cdef list waiters
    cdef object deferred
    cdef readonly bint ended
    cdef readonly object error
    cdef object traceback
    cdef readonly bint quiet

    # Not __init__, which could be called twice or not at all.
    def __cinit__(self, MessageRing ring not None, decode not None, name=None, *, json=False):
        self.ring = ring
        self.name = name
        self._decode = decode
        self.how = AS_BYTES if decode is bytes else AS_TEXT if decode is str else CALL
        self.waiters = []
        ring.waker = self._wake

    def end(self, error=None, *, bint quiet=False):
        """No more messages will come. What is queued can still be read; then iteration ends, or raises `error`.

        `quiet`: iteration ends all the same, and only `recv()` raises the error.
        """
        if not self.ended:
            self.ended = True
            self.error = error
            self.traceback = None if error is None else error.__traceback__
            self.quiet = quiet
            self._wake()
            # Nobody waits any more; and so the queue's memory goes with its last user, not when the collector runs.
            self.ring.waker = None

    def reopen(self):
        """After `end()`: messages will come again."""
        self.ended = False
        self.error = None
        self.traceback = None
        self.ring.waker = self._wake

    def _wake(self):
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def decode_payload(self, bytes payload not None):
        """`payload` in the type that this stream delivers. Raises DecodeError."""
        return self.decoded(payload)

    cdef object decoded(self, bytes payload):
        if self.how == AS_BYTES:
            return payload
        try:
            if self.how == AS_TEXT:
                return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), NULL)
            return self._decode(payload)
        except Exception as error:
            raise undecodable(error, payload, self.name) from error

    cdef object take(self):
        cdef bint binary = False
        cdef int64_t received_ns = 0
        if self.deferred is not None:
            self.raise_deferred()
        if self.how == AS_BYTES:
            return self.ring.take_payload(&binary, &received_ns)
        return self.decoded(self.ring.take_payload(&binary, &received_ns))

    cdef int raise_deferred(self) except -1:
        error = self.deferred
        self.deferred = None
        raise error

    cdef object take_message(self):
        cdef bint binary = False
        cdef int64_t received_ns = 0
        cdef Message message
        if self.deferred is not None:
            self.raise_deferred()
        message = Message.__new__(Message)
        message.data = self.ring.take_payload(&binary, &received_ns)
        message.is_binary = binary
        message.received_ns = received_ns
        message.stream = self
        return message

    cdef list take_batch(self, Py_ssize_t most):
        """At most `most` messages; there must be one."""
        cdef list batch = [self.take()]
        cdef Py_ssize_t count = <Py_ssize_t>self.ring.ring.count
        if most - 1 < count:
            count = most - 1
        try:
            # A decoder is foreign code: it may have taken from the ring itself.
            while count > 0 and self.ring.ring.count:
                batch.append(self.take())
                count -= 1
        except DecodeError as error:
            self.deferred = error
        self.run += <int>min(len(batch) - 1, <Py_ssize_t>PATIENCE)
        return batch

    async def ready(self, timeout, operation):
        """Wait until a message is queued; False when none will come any more. Raises TimeoutError."""
        deadline = None
        while not self.ring.ring.count:
            if self.ended:
                return False
            if timeout is not None and timeout <= 0:
                raise TimeoutError(timeout, operation)
            loop = get_running_loop()
            waiter = loop.create_future()
            timer = None
            if timeout is not None:
                # Of all waits together: another consumer may be the faster one, time and again.
                deadline = loop.time() + timeout if deadline is None else deadline
                timer = loop.call_at(deadline, _expire, waiter, timeout, operation)
            self.waiters.append(waiter)
            self.ring.ring.waiting = True
            try:
                await waiter
            finally:
                self.waiters.remove(waiter)
                self.ring.ring.waiting = len(self.waiters) > 0
                if timer is not None:
                    timer.cancel()
        return True

    cdef inline bint stocked(self):
        """Whether there is something to take at once, and it is not time for a pause."""
        if not self.ring.ring.count and self.deferred is None:
            self.run = 0
            return False
        self.run += 1
        return self.run < PATIENCE

    async def turn(self, timeout, operation):
        """As `ready()`, or the pause after `PATIENCE` messages."""
        if self.run >= PATIENCE:
            self.run = 0
            await sleep(0)
        if self.ring.ring.count or self.deferred is not None:
            return True
        return await self.ready(timeout, operation)

    cdef object over(self, str operation):
        if self.error is not None:
            return self.afresh()
        return InvalidStateError("closed", ("open",), operation)

    cdef object stop(self):
        return StopAsyncIteration() if self.error is None or self.quiet else self.afresh()

    cdef object afresh(self):
        # Raised again and again, its traceback would grow without end.
        return self.error.with_traceback(self.traceback)

    async def recv(self, timeout=None):
        """The next message. `timeout` in seconds; 0 takes only what is queued.

        Raises TimeoutError, DecodeError, InvalidStateError once ended and drained, or the error that ended it.
        """
        if not self.stocked():
            if not await self.turn(timeout, "recv"):
                raise self.over("recv")
        return self.take()

    async def recv_batch(self, max_messages=None, timeout=None):
        """All that is queued, at most `max_messages`, at least one. Raises what `recv()` does.

        A message that cannot be decoded ends the batch before it; the next call raises its DecodeError.
        """
        cdef Py_ssize_t most = most_of(max_messages)
        if not self.stocked():
            if not await self.turn(timeout, "recv_batch"):
                raise self.over("recv_batch")
        return self.take_batch(most)

    def __aiter__(self):
        return self

    def __anext__(self):
        return Next.of(self, ONE, 0)

    def messages(self):
        """Iterate over `Message` objects, undecoded."""
        return Iterator.of(self, MESSAGE, 0)

    def batches(self, max_messages=None):
        """Iterate over lists as `recv_batch()` gives them. Raises ValueError for less than 1."""
        return Iterator.of(self, BATCH, most_of(max_messages))


cdef Py_ssize_t most_of(max_messages) except 0:
    if max_messages is None:
        return PY_SSIZE_T_MAX
    if max_messages < 1:
        raise ValueError(f"max_messages must be at least 1, got {max_messages}")
    return max_messages


cdef class Iterator:
    """Iterates over a stream in messages or batches."""

    cdef MessageStream stream
    cdef int what
    cdef Py_ssize_t most

    @staticmethod
    cdef Iterator of(MessageStream stream, int what, Py_ssize_t most):
        cdef Iterator iterator = Iterator.__new__(Iterator)
        iterator.stream = stream
        iterator.what = what
        iterator.most = most
        return iterator

    def __aiter__(self):
        return self

    def __anext__(self):
        return Next.of(self.stream, self.what, self.most)


@cython.freelist(64)
cdef class Next:
    """What `__anext__` gives: awaiting it takes the next message, waiting for it where there is none."""

    cdef MessageStream stream
    cdef int what
    cdef Py_ssize_t most
    # The coroutine that waits, while there is one, and the future that it gave.
    cdef object waiting
    cdef object pending
    cdef bint spent

    @staticmethod
    cdef Next of(MessageStream stream, int what, Py_ssize_t most):
        cdef Next step = Next.__new__(Next)
        step.stream = stream
        step.what = what
        step.most = most
        return step

    def __dealloc__(self):
        # The value has been taken by now.
        awaiting_forget()

    def __await__(self):
        return self

    def __iter__(self):
        return self

    cdef object take(self):
        self.spent = True
        if self.what == ONE:
            return self.stream.take()
        if self.what == MESSAGE:
            return self.stream.take_message()
        return self.stream.take_batch(self.most)

    cdef PySendResult advance(self, object value, PyObject** result) except PYGEN_ERROR:
        """One step, as PyIter_Send makes it; `result[0]` is a new reference."""
        cdef PySendResult outcome
        if self.spent or self.stream is None:
            raise RuntimeError("cannot reuse an already awaited __anext__()")
        if self.waiting is None:
            if self.stream.stocked():
                return self.give(result)
            self.waiting = self.stream.turn(None, "recv")
        elif self.pending is not None and not self.pending.done():
            # A second task awaits it: to go on would break the wait of the first.
            raise RuntimeError("__anext__() is being awaited already")
        outcome = PyIter_Send(self.waiting, value, result)
        if outcome == PYGEN_NEXT:
            self.pending = <object>result[0]
            return PYGEN_NEXT
        self.waiting = None
        self.pending = None
        if outcome == PYGEN_ERROR:
            self.spent = True
            return PYGEN_ERROR
        found = <object>result[0]
        Py_DECREF(result[0])
        result[0] = NULL
        return self.finish(found, result)

    cdef PySendResult give(self, PyObject** result) except PYGEN_ERROR:
        item = self.take()
        Py_INCREF(item)
        result[0] = <PyObject*>item
        return PYGEN_RETURN

    cdef PySendResult finish(self, bint found, PyObject** result) except PYGEN_ERROR:
        """The wait is over: take what came, or end the iteration."""
        if found:
            return self.give(result)
        self.spent = True
        raise self.stream.stop()

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """Go on with awaiting; the value comes as StopIteration's, as from any generator."""
        cdef PyObject* result = NULL
        cdef PySendResult outcome = self.advance(value, &result)
        item = <object>result
        Py_DECREF(result)
        if outcome == PYGEN_RETURN:
            raise StopIteration(item)
        return item

    def throw(self, kind, value=None, traceback=None):
        """Raise in the place that waits; how a cancellation arrives."""
        waiting = self.waiting
        if waiting is None:
            self.spent = True
            raise kind if value is None else value
        try:
            # Nothing in a wait catches what is thrown into it.
            return waiting.throw(kind if value is None else value)
        except BaseException:
            self.waiting = None
            self.spent = True
            raise

    def close(self):
        """Give up waiting."""
        self.spent = True
        waiting = self.waiting
        if waiting is not None:
            self.waiting = None
            waiting.close()


cdef PySendResult next_send(PyObject* step, PyObject* value, PyObject** result) except PYGEN_ERROR:
    result[0] = NULL
    return (<Next>step).advance(<object>value, result)


awaiting_fill_slots(Next, <awaiting_send_t>next_send)
