# cython: language_level=3
"""The messages of a ring as a stream's consumers take them: what there is, decoded, or what to wait on; until the end.

How they ask for it is in stream_c.pyx. The Python twin is `taking_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t

from asyncio import _get_running_loop, get_running_loop

from ..errors import DecodeError, InvalidStateError, TimeoutError

from .ring_c cimport MessageRing, Waker, ring_has_breaks, ring_head, ring_t, ring_tail
from .waiting_c cimport WOKEN, Waiter, Wave, nobodys_wave, wave_of

from .stream_marks_py import Marks
from .taking_py import _expire, listened_to, undecodable

cdef extern from "batching.h":
    list batching_list(Py_ssize_t count)
    int batching_append(list batch, PyObject* item) except -1
    PyObject* PyObject_CallOneArg(object called, object argument) noexcept
    void Py_INCREF(object)
    void Py_DECREF(PyObject*)

cdef extern from *:
    """
    /* For Cython, which then sees the exception that is set. */
    static int stream_raise(void) { return -1; }
    """
    int stream_raise() except -1

cdef enum:
    # A batch is not cut off before, unless its messages are slow to decode.
    FEWEST = 256
    # Bytes of a message that count as much as one message does.
    WEIGHT_SHIFT = 8


@cython.freelist(64)
cdef class Message:
    """One message with what is known of it."""

    def __init__(self, bytes data not None, bint binary, int64_t received_ns, Taking stream not None):
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


@cython.final
cdef class Caution:
    """What a stream has to mind once something may come before a message: few have one."""

    def __cinit__(self):
        self.marks = Marks()
        self.mark_at = UINT64_MAX


cdef class Taking(Waker):
    """The consuming side of a ring, but for how it is asked: see `MessageStream`."""

    # Not __init__, which could be called twice or not at all.
    def __cinit__(self, MessageRing ring not None, decode not None, name=None, *, json=False):
        self.ring = ring
        self.name = name
        self._decode = decode
        self.how = AS_BYTES if decode is bytes else AS_TEXT if decode is str else CALL
        self.wave = nobodys_wave()
        ring.waker = self

    def end(self, error=None, *, bint quiet=False):
        """No more messages will come. What is queued can still be read; then iteration ends, or raises `error`.

        `quiet`: iteration ends all the same, and only `recv()` raises the error.
        """
        if not self.ended:
            self.ended = True
            self.error = error
            self.traceback = None if error is None else error.__traceback__
            self.quiet = quiet
            self.woken()
            # Nobody waits any more; and so the queue's memory goes with its last user, not when the collector runs.
            self.ring.waker = None

    def reopen(self):
        """After `end()`: messages will come again."""
        self.ended = False
        self.error = None
        self.traceback = None
        self.ring.waker = self

    cdef int woken(self) except -1:
        cdef Waiter first = self.first
        cdef list others = self.others
        if self.listener is not None:
            return self.deliver(False)
        self.first = None
        self.others = None
        try:
            if first is not None:
                first.settle(WOKEN)
            if others is not None:
                for waiter in others:
                    (<Waiter>waiter).settle(WOKEN)
        except:
            # They are to be woken with the next message; whom this one woke is not woken twice.
            self.first = first
            self.others = others
            self.ring.ring.waiting = True
            raise
        return 0

    cdef int deliver(self, bint turn) except -1:
        """Call the listener: see `MessageStream`."""
        return 0

    # Waiting.

    cdef int bind(self) except -1:
        """Find the wave of the running loop."""
        loop = _get_running_loop()
        if loop is not self.wave.loop or self.wave is nobodys_wave():
            self.wave = wave_of(loop)
        return 0

    cdef Waiter wait(self):
        """Wait for what comes next."""
        cdef Waiter waiter
        # Asking for the loop takes longer than all the rest: a system call, up to Python 3.11.
        if not self.wave.running:
            self.bind()
            if self.wave.loop is None:
                get_running_loop()
        waiter = Waiter.__new__(Waiter)
        waiter._loop = self.wave.loop
        waiter.wave = self.wave
        if self.first is None:
            self.first = waiter
        else:
            if self.others is None:
                self.others = []
            self.others.append(waiter)
        self.ring.ring.waiting = True
        return waiter

    cdef int let_go(self, Waiter waiter) except -1:
        """`waiter` waits no more."""
        if self.first is waiter:
            self.first = <Waiter>self.others.pop(0) if self.others else None
        elif self.others and waiter in self.others:
            self.others.remove(waiter)
        if self.first is None and self.listener is None:
            self.ring.ring.waiting = False
        return 0

    cdef bint look(self) except -1:
        if not self.wave.running:
            self.bind()
        return self.wave.in_time()

    cdef bint pausing(self, str operation) except -1:
        """After waiting was found necessary: whether for a turn, and not for messages. Raises InvalidStateError."""
        if self.listener is not None:
            raise listened_to(operation)
        return self.ring.ring.count > 0 or (self.careful and self.due())

    async def turn(self, timeout, operation):
        """Wait until a message is queued, or for a turn; False when none will come any more. Raises TimeoutError."""
        cdef Waiter waiter
        deadline = None
        if self.pausing(operation):
            await self.wave.line_up()
            if self.listener is not None:
                raise listened_to(operation)
        while not (self.ring.ring.count or self.careful and self.due()):
            if self.ended:
                return False
            if timeout <= 0:
                raise TimeoutError(timeout, operation)
            waiter = self.wait()
            timer = None
            try:
                # Of all waits together: another consumer may be the faster one, time and again.
                deadline = waiter._loop.time() + timeout if deadline is None else deadline
                timer = waiter._loop.call_at(deadline, _expire, waiter, timeout, operation)
                await waiter
            finally:
                self.let_go(waiter)
                if timer is not None:
                    timer.cancel()
            if self.listener is not None:
                raise listened_to(operation)
        return True

    # Taking.

    def decode_payload(self, bytes payload not None):
        """`payload` in the type that this stream delivers. Raises DecodeError."""
        return self.decoded(payload)

    cdef object decoded(self, bytes payload):
        cdef PyObject* found
        if self.how == AS_BYTES:
            return payload
        if self.how == CALL:
            found = PyObject_CallOneArg(self._decode, payload)
            if found != NULL:
                item = <object>found
                Py_DECREF(found)
                return item
        elif self.how == TAGGED:
            return self.tagged(payload)
        try:
            if self.how == CALL:
                stream_raise()
            return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), NULL)
        except Exception as error:
            raise undecodable(error, payload, self.name) from error

    cdef object tagged(self, bytes payload):
        """`payload`, which was just taken, decoded in a way of its own."""
        return payload

    cdef inline object take_plain(self):
        cdef bint binary = False
        cdef int64_t received_ns = 0
        cdef bytes payload = self.ring.take_payload(&binary, &received_ns)
        self.wave.run += 1 + (PyBytes_GET_SIZE(payload) >> WEIGHT_SHIFT)
        if self.how == AS_BYTES:
            return payload
        return self.decoded(payload)

    cdef object take(self):
        return self.take_carefully(False) if self.careful else self.take_plain()

    cdef object take_message(self):
        return self.take_carefully(True) if self.careful else self.message_of()

    cdef Message message_of(self):
        cdef bint binary = False
        cdef Message message = Message.__new__(Message)
        message.data = self.ring.take_payload(&binary, &message.received_ns)
        message.is_binary = binary
        message.stream = self
        self.wave.run += 1 + (PyBytes_GET_SIZE(message.data) >> WEIGHT_SHIFT)
        return message

    cdef list take_batch(self, Py_ssize_t most):
        """At most `most` messages; there must be one."""
        cdef Py_ssize_t count = min(<Py_ssize_t>self.ring.ring.count, most)
        cdef list batch
        if self.careful:
            return self.take_batch_with_marks(most)
        first = self.take_plain()
        batch = batching_list(count)
        add(batch, first)
        try:
            # A decoder is foreign code: it may have taken from the ring itself, or put a mark behind its messages.
            while count > 1 and self.ring.ring.count and not self.careful and (in_time(self) or short(self, batch)):
                add(batch, self.take_plain())
                count -= 1
        except DecodeError as error:
            self.defer(error)
        return batch

    # Marks: what the consumer is given between messages.

    def mark(self, item):
        """Give the consumer `item`, as it is, behind all that is queued now; an exception is raised instead.

        It comes in its place however the messages are taken; to a listener's `on_trouble` if it is an exception.
        """
        cdef Caution caution = self.cautious()
        self.look_for_losses()
        caution.marks.put(ring_tail(&self.ring.ring), item)
        self.recheck()
        if self.ring.ring.waiting:
            self.ring.ring.waiting = False
            self.woken()

    def watch_losses(self, make):
        """From now on the consumer is given `make(kind, count, since_ns, until_ns)` in the place of lost messages.

        `kind` "overflow": the ring dropped `count` messages. They lay between what was received at these times: the
        message that was taken last, and the one that comes next (0: there is none); or, of messages for which there was
        no room, they are those of the first and the last. "sequence": `count` messages, -1 if unknown, are missing
        between those. What `make` raises is raised in its place. None: no more.
        """
        cdef Caution caution = self.cautious()
        caution.seen = self.ring.ring.dropped
        caution.marks.watch(self.ring, make)
        caution.watching = make is not None
        self.recheck()

    cdef Caution cautious(self):
        if self.caution is None:
            self.caution = Caution()
        return self.caution

    cdef int recheck(self) except -1:
        cdef Caution caution = self.caution
        self.careful = self.deferred is not None
        if caution is not None:
            caution.mark_at = caution.marks.at
            self.careful = self.careful or caution.watching or caution.mark_at != UINT64_MAX
        return 0

    cdef int look_for_losses(self) except -1:
        cdef Caution caution = self.caution
        cdef ring_t* ring = &self.ring.ring
        if caution is not None and caution.watching and (ring.dropped != caution.seen or ring_has_breaks(ring)):
            # First: `make` is foreign code, and may come here again.
            caution.seen = ring.dropped
            try:
                caution.marks.look(self.ring, caution.taken_ns)
            finally:
                self.recheck()
        return 0

    cdef bint due(self) except -1:
        """Whether something comes before the next message."""
        if self.deferred is not None:
            return True
        self.look_for_losses()
        return self.caution is not None and self.caution.mark_at <= ring_head(&self.ring.ring)

    cdef object take_carefully(self, bint whole):
        cdef bint binary = False
        cdef int64_t received_ns = 0
        cdef Message message
        cdef bytes payload
        if self.due():
            return self.take_mark()
        if whole:
            message = self.message_of()
            self.was_taken(message.received_ns)
            return message
        payload = self.ring.take_payload(&binary, &received_ns)
        self.was_taken(received_ns)
        self.wave.run += 1 + (PyBytes_GET_SIZE(payload) >> WEIGHT_SHIFT)
        return self.decoded(payload)

    cdef void was_taken(self, int64_t received_ns) noexcept:
        if self.caution is not None:
            self.caution.taken_ns = received_ns

    cdef object take_mark(self):
        error = self.deferred
        if error is not None:
            self.deferred = None
            self.recheck()
            raise error
        self.wave.run += 1
        item = self.caution.marks.pop()
        self.recheck()
        if isinstance(item, BaseException):
            raise item
        return item

    cdef list take_batch_with_marks(self, Py_ssize_t most):
        cdef list batch = [self.take()]
        cdef uint64_t end = ring_tail(&self.ring.ring)
        try:
            while len(batch) < most and self.goes_on(end) and (in_time(self) or short(self, batch)):
                batch.append(self.take())
        except DecodeError as error:
            self.defer(error)
        return batch

    cdef bint goes_on(self, uint64_t end) except -1:
        """Whether there is more, up to the index `end`, that does not raise."""
        if self.careful and self.due():
            return self.deferred is None and not isinstance(self.caution.marks.first, BaseException)
        return self.ring.ring.count > 0 and ring_head(&self.ring.ring) < end

    cdef int defer(self, error) except -1:
        self.deferred = error
        self.careful = True
        return 0

    cdef object over(self, str operation):
        if self.error is not None:
            return self.afresh()
        return InvalidStateError("closed", ("open",), operation)

    cdef object stop(self):
        return StopAsyncIteration() if self.error is None or self.quiet else self.afresh()

    cdef object afresh(self):
        # Raised again and again, its traceback would grow without end.
        return self.error.with_traceback(self.traceback)


cdef inline int add(list batch, item) except -1:
    Py_INCREF(item)
    return batching_append(batch, <PyObject*>item)


cdef inline bint short(Taking stream, list batch) except -1:
    """Whether a batch is not worth what it costs to begin another, and it is not too late for more."""
    return len(batch) < FEWEST and stream.wave.in_overtime()
