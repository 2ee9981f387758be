# cython: language_level=3
"""Delivers the messages of a ring to the tasks that wait for them, or to a callback.

`async for` costs a Python program more in the awaiting than in the taking. `__anext__` therefore gives an awaitable of
our own, `Next`, which takes its message when it is awaited, not before: one that is never awaited, or whose task is
cancelled first, takes none. The slots that the interpreter asks an awaitable for its value through are filled by hand
(see awaiting.h), so that no StopIteration has to be made for it.

Where there is nothing to take, a `Next` gives a `Waiter` (see waiting_c.pyx); and where there is no time left for
consumers in this turn of the loop, one that has to wait for its turn.

The Python twin is `stream_py.py`.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.pyport cimport PY_SSIZE_T_MAX

from asyncio import get_running_loop
from contextvars import copy_context

from .taking_c cimport Taking, available, in_time
from .waiting_c cimport PENDING, WOKEN, Waiter

from .taking_py import listened_to, waited_for
from .taking_c import Message

cdef extern from "awaiting.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*awaiting_send_t)(PyObject*, PyObject*, PyObject**)
    ctypedef bint (*awaiting_ask_t)(PyObject*)
    ctypedef void (*awaiting_act_t)(PyObject*)
    void awaiting_fill_slots(type kind, awaiting_send_t send, awaiting_ask_t is_waiting, awaiting_act_t stop_waiting)
    void Py_INCREF(object)
    void Py_DECREF(PyObject*)

cdef enum:
    ONE = 0
    MESSAGE = 1
    BATCH = 2
    RECV = 3
    RECV_BATCH = 4


cdef class MessageStream(Taking):
    """The consuming side of `ring`: waiting, decoding, ending.

    `decode` is `bytes` (the payload as it is), `str` (its text), or any callable of the payload. `json` says that
    `decode` is plain JSON decoding, so that a payload already parsed need not be parsed again. `name` is for errors.
    Any number of tasks may wait; each message goes to one of them. Or one callback is given all of them: `listen()`.
    """

    async def recv_in_time(self, timeout, int what, Py_ssize_t most):
        cdef str operation = operation_of(what)
        if not (available(self) and in_time(self)):
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
        get_running_loop()
        self.bind()
        self.besides = on_trouble, on_end
        self.listener = listener
        try:
            self.deliver(False)
        except:
            self.stop_listening()
            raise

    def stop_listening(self):
        """No more calls of the listener; what is queued stays. Without a call of `on_end` either."""
        self.listener = self.besides = None
        self.ring.ring.waiting = self.first is not None

    def _go_on(self, waiter):
        self.resuming = False
        self.deliver(True)

    cdef int deliver(self, bint turn) except -1:
        """Call the listener with what is queued, as far as there is time. `turn`: it is its turn, some there is."""
        # A message that comes while it is called has its turn behind the others.
        if self.busy:
            return 0
        self.busy = True
        try:
            while self.listener is not None and (self.ring.ring.count or self.careful and self.due()):
                if not turn and not in_time(self):
                    self.go_on_soon()
                    return 0
                turn = False
                self.deliver_some()
            if self.ended and self.listener is not None:
                _, on_end = self.besides
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
            while self.listener is not None and (self.ring.ring.count or self.careful and self.due()):
                self.listener(self.take())
                if self.wave.run >= self.wave.look:
                    break
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # None after stop_listening().
            if self.besides is not None:
                self.besides[0](error)
        return 0

    cdef int go_on_soon(self) except -1:
        cdef Waiter waiter
        # Without a loop it goes on with the next message.
        if not self.resuming and self.wave.loop is not None:
            context = copy_context()
            waiter = self.wave.line_up()
            waiter.context = context
            waiter.callback = self._go_on
            self.resuming = True
        return 0


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
            # Whoever has waited takes one at least.
            if not available(stream):
                return self.wait(result)
        elif not (available(stream) and in_time(stream)):
            return self.wait(result)
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
        """There is nothing to take, or no time: give what to wait on, or end."""
        cdef MessageStream stream = self.stream
        cdef Waiter waiter
        # In case that it raises.
        self.spent = True
        if stream.pausing(operation_of(self.what)):
            waiter = stream.wave.line_up()
        elif not stream.ended:
            waiter = stream.wait()
        else:
            if self.what == RECV or self.what == RECV_BATCH:
                raise stream.over(operation_of(self.what))
            raise stream.stop()
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
