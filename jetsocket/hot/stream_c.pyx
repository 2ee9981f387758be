# cython: language_level=3
"""Delivers the messages of a ring to the tasks that wait for them, or to a callback.

`async for` costs a Python program more in the awaiting than in the taking. `__anext__` therefore gives an awaitable of
our own, `Next`, which takes its message when it is awaited, not before: one that is never awaited, or whose task is
cancelled first, takes none. The slots that the interpreter asks an awaitable for its value through are filled by hand
(see awaiting.h), so that no StopIteration has to be made for it.

Where there is nothing to take, a `Next` gives a future of our own, `Waiter`, which knows no more of asyncio's protocol
than tasks use. The tasks that one read wakes are run by one callback of the event loop, the `Wave`, in the order in
which they were woken, each in its own context: a handle for each of them would cost more than its messages.

The Python twin is `stream_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t

from asyncio import CancelledError, Future, InvalidStateError as FutureStateError, Task, get_running_loop, sleep
from contextvars import copy_context
from time import monotonic_ns
from weakref import WeakKeyDictionary

from ..errors import DecodeError, InvalidStateError, TimeoutError

from .ring_c cimport MessageRing, Waker

from .stream_py import Settled, _expire, listened_to, undecodable, waited_for

cdef extern from "awaiting.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*awaiting_send_t)(PyObject*, PyObject*, PyObject**)
    ctypedef bint (*awaiting_ask_t)(PyObject*)
    ctypedef void (*awaiting_act_t)(PyObject*)
    void awaiting_fill_slots(type kind, awaiting_send_t send, awaiting_ask_t is_waiting, awaiting_act_t stop_waiting)
    int awaiting_call(object callback, object argument, object context) except -1
    bint awaiting_is_method_of(object callback, object kind) noexcept
    list awaiting_list(Py_ssize_t count)
    int awaiting_append(list batch, PyObject* item) except -1
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
    # A consumer lets the event loop run once after so many messages without a pause, or after so long, whichever is
    # first: no queue holds up the other tasks, however long it is or slow to decode. A large message counts for several.
    PATIENCE = 16384
    PATIENCE_NS = 2000000
    # Between two looks at the clock; and the fewest messages that a batch is cut off after.
    LOOK = 64
    LOOK_IN_BATCH = 256
    # Bytes of a message that count as much as one message does.
    WEIGHT_SHIFT = 8

    AS_BYTES = 0
    AS_TEXT = 1
    CALL = 2

    ONE = 0
    MESSAGE = 1
    BATCH = 2
    RECV = 3
    RECV_BATCH = 4

    PENDING = 0
    WOKEN = 1
    CANCELLED = 2
    FAILED = 3

# What the tasks are told that a `Waiter` was for: asyncio's C asks its own futures for their result much faster.
cdef object DONE = Future(loop=Settled())
DONE.set_result(None)

# loop -> its wave
cdef object WAVES = WeakKeyDictionary()


@cython.final
@cython.freelist(64)
cdef class Waiter:
    """A future, as far as tasks use one: what they wait on, without a result."""

    # asyncio reads these two. There is no get_loop(), which asyncio would call where it can as well read `_loop`.
    cdef public bint _asyncio_future_blocking
    cdef readonly object _loop
    cdef Wave wave
    cdef int state
    cdef object callback
    cdef object context
    # Further callbacks, with their contexts; a task adds one alone.
    cdef list others
    cdef readonly object _cancel_message
    cdef object error
    cdef object __weakref__

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.state == PENDING:
            self._asyncio_future_blocking = True
            return self
        raise StopIteration(self.result())

    def add_done_callback(self, callback, *, context=None):
        """Call `callback(self)` when this is done, in `context`; soon, where it is."""
        if context is None:
            context = copy_context()
        if self.state != PENDING:
            self._loop.call_soon(callback, self, context=context)
        elif self.callback is None:
            self.context = context
            self.callback = callback
        else:
            if self.others is None:
                self.others = []
            self.others.append((callback, context))

    def remove_done_callback(self, callback):
        """Do not call `callback`; how often it was to be called."""
        cdef list kept = []
        cdef Py_ssize_t count = 0
        if self.callback is not None:
            kept.append((self.callback, self.context))
        if self.others is not None:
            kept += self.others
        count = len(kept)
        kept = [pair for pair in kept if pair[0] != callback]
        self.callback, self.context = kept.pop(0) if kept else (None, None)
        self.others = kept
        return count - len(kept) - (self.callback is not None)

    def done(self):
        return self.state != PENDING

    def cancelled(self):
        return self.state == CANCELLED

    def result(self):
        if self.state == WOKEN:
            return None
        error = self.exception()
        if error is not None:
            raise error

    def exception(self):
        if self.state == PENDING:
            raise FutureStateError("Result is not set.")
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        return self.error

    def _make_cancelled_error(self):
        return CancelledError() if self._cancel_message is None else CancelledError(self._cancel_message)

    def cancel(self, msg=None):
        """Who waits gets a CancelledError; False where this is done already."""
        if self.state != PENDING:
            return False
        self._cancel_message = msg
        self.settle(CANCELLED)
        return True

    def set_exception(self, error):
        """Who waits gets `error`."""
        if self.state != PENDING:
            raise FutureStateError("invalid state")
        self.error = error
        self.settle(FAILED)

    cdef int settle(self, int state) except -1:
        if self.state == PENDING:
            # First: where there is no memory for it, it can be tried again.
            if self.callback is not None:
                self.wave.add(self)
            self.state = state
        return 0

    cdef int call_back(self) except -1:
        callback = self.callback
        context = self.context
        others = self.others
        self.callback = self.context = self.others = None
        if others is not None:
            for pair in others:
                self._loop.call_soon(pair[0], self, context=pair[1])
        # None if it was removed, or is called twice.
        if callback is not None:
            if self.state == WOKEN and awaiting_is_method_of(callback, Task):
                awaiting_call(callback, DONE, context)
            else:
                awaiting_call(callback, self, context)
        return 0


@cython.final
cdef class Wave:
    """The waiters of one event loop that were woken, and the one callback that runs them all."""

    cdef list woken
    cdef bint scheduled
    # While it runs, its loop does.
    cdef bint running
    cdef object __weakref__

    def __cinit__(self):
        self.woken = []

    cdef int add(self, Waiter waiter) except -1:
        self.woken.append(waiter)
        if not self.scheduled:
            waiter._loop.call_soon(self)
            self.scheduled = True
        return 0

    def __call__(self):
        cdef list woken = self.woken
        cdef Py_ssize_t count = len(woken)
        cdef Py_ssize_t at = 0
        cdef Waiter waiter = None
        # Whoever is woken from here on comes in the next turn of the loop, behind what waits for its turn.
        self.woken = []
        self.scheduled = False
        self.running = True
        try:
            while at < count:
                waiter = <Waiter>woken[at]
                at += 1
                waiter.call_back()
        finally:
            self.running = False
            if at < count:
                # KeyboardInterrupt, for one, is not for us, and the others must not pay for it.
                self.again(woken[at:], waiter._loop)

    cdef int again(self, list rest, loop) except -1:
        self.woken = rest + self.woken
        if not self.scheduled:
            loop.call_soon(self)
            self.scheduled = True
        return 0


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


cdef class MessageStream(Waker):
    """The consuming side of `ring`: waiting, decoding, ending.

    `decode` is `bytes` (the payload as it is), `str` (its text), or any callable of the payload. `json` says that
    `decode` is plain JSON decoding, so that a payload already parsed need not be parsed again. `name` is for errors.
    Any number of tasks may wait; each message goes to one of them. Or one callback is given all of them: `listen()`.
    """

    cdef readonly MessageRing ring
    cdef readonly object name
    cdef object _decode
    cdef int how
    # What was taken since a wait or a pause, where to look at the clock next, and what it said the first time.
    cdef Py_ssize_t run
    cdef Py_ssize_t look
    cdef int64_t began
    # Who waits, in the order in which they came.
    cdef Waiter first
    cdef list others
    cdef object loop
    cdef Wave wave
    cdef object listener
    cdef object on_trouble
    cdef object on_end
    # The listener is being called; it will go on in the loop's next turn.
    cdef bint busy
    cdef bint resuming
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
        self.rested()
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
            return self.deliver()
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

    # Waiting.

    cdef int bind(self) except -1:
        """Find the running loop, and its wave."""
        loop = get_running_loop()
        if loop is not self.loop:
            wave = WAVES.get(loop)
            if wave is None:
                wave = WAVES.setdefault(loop, Wave())
            self.wave = wave
            self.loop = loop
        return 0

    cdef Waiter wait(self):
        """Wait for what comes next."""
        cdef Waiter waiter
        # Asking for the loop takes longer than all the rest: a system call, up to Python 3.11.
        if self.wave is None or not self.wave.running:
            self.bind()
        waiter = Waiter.__new__(Waiter)
        waiter._loop = self.loop
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

    cdef inline void rested(self) noexcept:
        self.run = 0
        self.look = LOOK
        self.began = 0

    @cython.final
    cdef inline bint stocked(self) except -1:
        """Whether there is something to take at once, and it is not time for a pause."""
        if (not self.ring.ring.count and self.deferred is None) or self.listener is not None:
            return False
        return self.run < self.look or self.in_time()

    cdef bint in_time(self) except -1:
        """A look at the clock: whether it is not time for a pause."""
        cdef int64_t now
        if self.run >= PATIENCE:
            return False
        now = monotonic_ns()
        if self.began == 0:
            self.began = now
        self.look = self.run + LOOK
        return now - self.began < PATIENCE_NS

    cdef bint pausing(self, str operation) except -1:
        """After `stocked()` was False: whether for a pause, and not for want of messages. Raises InvalidStateError."""
        if self.listener is not None:
            raise listened_to(operation)
        self.rested()
        return self.ring.ring.count > 0 or self.deferred is not None

    async def turn(self, timeout, operation):
        """Wait until a message is queued, or pause; False when none will come any more. Raises TimeoutError."""
        cdef Waiter waiter
        deadline = None
        if self.pausing(operation):
            await sleep(0)
        while not self.ring.ring.count and self.deferred is None:
            if self.ended:
                return False
            if timeout <= 0:
                raise TimeoutError(timeout, operation)
            waiter = self.wait()
            timer = None
            try:
                # Of all waits together: another consumer may be the faster one, time and again.
                deadline = self.loop.time() + timeout if deadline is None else deadline
                timer = self.loop.call_at(deadline, _expire, waiter, timeout, operation)
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

    @cython.final
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
        try:
            if self.how == CALL:
                stream_raise()
            return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), NULL)
        except Exception as error:
            raise undecodable(error, payload, self.name) from error

    @cython.final
    cdef object take(self):
        cdef bint binary = False
        cdef int64_t received_ns = 0
        cdef bytes payload
        if self.deferred is not None:
            self.raise_deferred()
        payload = self.ring.take_payload(&binary, &received_ns)
        self.run += 1 + (PyBytes_GET_SIZE(payload) >> WEIGHT_SHIFT)
        if self.how == AS_BYTES:
            return payload
        return self.decoded(payload)

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
        self.run += 1 + (PyBytes_GET_SIZE(message.data) >> WEIGHT_SHIFT)
        return message

    cdef list take_batch(self, Py_ssize_t most):
        """At most `most` messages; there must be one."""
        cdef Py_ssize_t count = <Py_ssize_t>self.ring.ring.count
        cdef Py_ssize_t began = self.run
        cdef Py_ssize_t look = began + LOOK_IN_BATCH
        cdef int64_t since = 0
        cdef int64_t now
        cdef list batch
        first = self.take()
        count = min(count, most, <Py_ssize_t>PATIENCE)
        batch = awaiting_list(count)
        add(batch, first)
        try:
            # A decoder is foreign code: it may have taken from the ring itself.
            while count > 1 and self.ring.ring.count:
                add(batch, self.take())
                count -= 1
                if self.run >= look:
                    now = monotonic_ns()
                    if since == 0:
                        since = now
                    if now - since >= PATIENCE_NS or self.run - began >= PATIENCE:
                        # The next step begins with a pause.
                        self.run = max(self.run, <Py_ssize_t>PATIENCE)
                        break
                    look = self.run + LOOK_IN_BATCH
        except DecodeError as error:
            self.deferred = error
        return batch

    cdef object over(self, str operation):
        if self.error is not None:
            return self.afresh()
        return InvalidStateError("closed", ("open",), operation)

    cdef object stop(self):
        return StopAsyncIteration() if self.error is None or self.quiet else self.afresh()

    cdef object afresh(self):
        # Raised again and again, its traceback would grow without end.
        return self.error.with_traceback(self.traceback)

    async def recv_in_time(self, timeout, int what, Py_ssize_t most):
        cdef str operation = operation_of(what)
        if not self.stocked():
            if not await self.turn(timeout, operation):
                raise self.over(operation)
        return self.take() if what == RECV else self.take_batch(most)

    def recv(self, timeout=None):
        """Awaited: the next message. `timeout` in seconds; 0 takes only what is queued.

        Raises TimeoutError, DecodeError, InvalidStateError once ended and drained, or the error that ended it.
        """
        return Next.of(self, RECV, 0) if timeout is None else self.recv_in_time(timeout, RECV, 0)

    def recv_batch(self, max_messages=None, timeout=None):
        """Awaited: what is queued, at most `max_messages`, at least one. Raises what `recv()` does.

        A message that cannot be decoded ends the batch before it; the next call raises its DecodeError. Of a long queue
        it is as much as can be taken at a time without holding up the event loop.
        """
        cdef Py_ssize_t most = most_of(max_messages)
        return Next.of(self, RECV_BATCH, most) if timeout is None else self.recv_in_time(timeout, RECV_BATCH, most)

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

    # Listening.

    @property
    def listening(self):
        """Whether a callback is given the messages."""
        return self.listener is not None

    def listen(self, listener not None, on_trouble not None, on_end not None):
        """From now on call `listener` with each message, when it comes; what is queued comes at once.

        What it or the decoding raises goes to `on_trouble(error)`, but KeyboardInterrupt and SystemExit pass.
        `on_end()` is called after the last message. Raises InvalidStateError if there is a listener or a task waits.
        """
        if self.listener is not None:
            raise listened_to("listen")
        if self.first is not None and self.first.state == PENDING:
            raise waited_for()
        self.bind()
        self.listener = listener
        self.on_trouble = on_trouble
        self.on_end = on_end
        try:
            self.deliver()
        except:
            self.stop_listening()
            raise

    def stop_listening(self):
        """No more calls of the listener; what is queued stays. Without a call of `on_end` either."""
        self.listener = self.on_trouble = self.on_end = None
        self.ring.ring.waiting = self.first is not None

    def _go_on(self):
        self.resuming = False
        self.deliver()

    cdef int deliver(self) except -1:
        """Call the listener with what is queued; if that takes long, go on in the next turn of the loop."""
        # A message that comes while it is called has its turn behind the others.
        if self.busy:
            return 0
        self.busy = True
        self.rested()
        try:
            while self.listener is not None and (self.ring.ring.count or self.deferred is not None):
                if self.run >= self.look and not self.in_time():
                    self.go_on_soon()
                    return 0
                self.deliver_some()
            if self.ended and self.listener is not None:
                on_end = self.on_end
                self.stop_listening()
                on_end()
        except:
            if self.listener is not None:
                self.go_on_soon()
            raise
        finally:
            self.busy = False
            if self.listener is not None:
                self.ring.ring.waiting = not self.resuming
        return 0

    cdef int deliver_some(self) except -1:
        try:
            while self.listener is not None and (self.ring.ring.count or self.deferred is not None):
                if self.run >= self.look:
                    break
                self.listener(self.take())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # None after stop_listening().
            if self.on_trouble is not None:
                self.on_trouble(error)
        return 0

    cdef int go_on_soon(self) except -1:
        if not self.resuming:
            self.loop.call_soon(self._go_on)
            self.resuming = True
        return 0


cdef inline int add(list batch, item) except -1:
    Py_INCREF(item)
    return awaiting_append(batch, <PyObject*>item)


cdef str operation_of(int what):
    return "recv_batch" if what == RECV_BATCH or what == BATCH else "recv"


cdef Py_ssize_t most_of(max_messages) except 0:
    if max_messages is None:
        return PY_SSIZE_T_MAX
    if max_messages < 1:
        raise ValueError(f"max_messages must be at least 1, got {max_messages}")
    return max_messages


@cython.final
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


# Of its parts none can lead back to it alone: whatever makes a cycle with it can be cleared. So it has them to the last,
# and can stop waiting then.
@cython.final
@cython.no_gc_clear
@cython.freelist(64)
cdef class Next:
    """What `__anext__` and `recv` give: awaiting it takes the next message, waiting for it where there is none."""

    cdef MessageStream stream
    cdef int what
    cdef bint spent
    cdef Py_ssize_t most
    # What it waits on, while it does.
    cdef Waiter waiter

    @staticmethod
    cdef inline Next of(MessageStream stream, int what, Py_ssize_t most):
        cdef Next step = Next.__new__(Next)
        step.stream = stream
        step.what = what
        step.most = most
        return step

    def __await__(self):
        return self

    def __iter__(self):
        return self

    cdef PySendResult advance(self, PyObject** result) except PYGEN_ERROR:
        """One step, as PyIter_Send makes it; `result[0]` is a new reference."""
        cdef MessageStream stream = self.stream
        if self.spent or stream is None:
            raise RuntimeError("cannot reuse an already awaited __anext__() or recv()")
        if self.waiter is not None:
            self.waited()
        if not stream.stocked():
            if not stream.pausing(operation_of(self.what)):
                return self.wait(result)
            # As `sleep(0)` does.
            Py_INCREF(None)
            result[0] = <PyObject*>None
            return PYGEN_NEXT
        self.spent = True
        if self.what == ONE or self.what == RECV:
            item = stream.take()
        elif self.what == MESSAGE:
            item = stream.take_message()
        else:
            item = stream.take_batch(self.most)
        Py_INCREF(item)
        result[0] = <PyObject*>item
        return PYGEN_RETURN

    cdef PySendResult wait(self, PyObject** result) except PYGEN_ERROR:
        """There is nothing to take: give what to wait on, or end."""
        cdef MessageStream stream = self.stream
        cdef Waiter waiter
        # In case that it raises.
        self.spent = True
        if stream.ended:
            if self.what == RECV or self.what == RECV_BATCH:
                raise stream.over(operation_of(self.what))
            raise stream.stop()
        waiter = stream.wait()
        self.spent = False
        self.waiter = waiter
        waiter._asyncio_future_blocking = True
        Py_INCREF(waiter)
        result[0] = <PyObject*>waiter
        return PYGEN_NEXT

    cdef int waited(self) except -1:
        cdef Waiter waiter = self.waiter
        if waiter.state == PENDING:
            # A second task awaits it: to go on would break the wait of the first.
            raise RuntimeError("__anext__() or recv() is being awaited already")
        self.waiter = None
        if waiter.state != WOKEN:
            self.spent = True
            self.stream.let_go(waiter)
            waiter.result()
        return 0

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """Go on with awaiting; the value comes as StopIteration's, as from any generator."""
        cdef PyObject* result = NULL
        cdef PySendResult outcome = self.advance(&result)
        item = <object>result
        Py_DECREF(result)
        if outcome == PYGEN_RETURN:
            raise StopIteration(item)
        return item

    def throw(self, kind, value=None, traceback=None):
        """Raise in the place that waits; how a cancellation arrives."""
        self.close()
        raise kind if value is None else value

    def close(self):
        """Give up waiting."""
        cdef Waiter waiter = self.waiter
        self.spent = True
        if waiter is not None:
            self.waiter = None
            self.stream.let_go(waiter)

    cdef void stop_waiting(self) noexcept:
        self.stream.let_go(self.waiter)


cdef PySendResult next_send(PyObject* step, PyObject* value, PyObject** result) except PYGEN_ERROR:
    result[0] = NULL
    return (<Next>step).advance(result)


cdef bint next_is_waiting(PyObject* step) noexcept:
    return (<Next>step).waiter is not None


cdef void next_stop_waiting(PyObject* step) noexcept:
    (<Next>step).stop_waiting()


awaiting_fill_slots(
    Next, <awaiting_send_t>next_send, <awaiting_ask_t>next_is_waiting, <awaiting_act_t>next_stop_waiting
)
