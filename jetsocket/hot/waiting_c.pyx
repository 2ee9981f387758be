# cython: language_level=3
"""What consumers wait on, and the one callback of an event loop that runs them.

A `Waiter` is a future that knows no more of asyncio's protocol than tasks use. The tasks that one read wakes are run by
one callback of the event loop, the `Wave`, in the order in which they were woken, each in its own context: a handle for
each of them would cost more than its messages.

The wave also sees to it that all consumers of a loop together hold it no longer than `BUDGET_NS` at a time. What has
not come up by then comes in the loop's next turn, in its order; a consumer that still has messages then lines up behind.

The Python twin is `waiting_py.py`.
"""

cimport cython
from libc.stdint cimport int64_t

from asyncio import CancelledError, Future, InvalidStateError as FutureStateError, Task
from contextvars import copy_context
from weakref import WeakKeyDictionary, ref

from .waiting_py import Settled, pending as pending_in_python

cdef extern from "waiting.h":
    int64_t waiting_now() noexcept
    int waiting_call(object callback, object argument, object context) except -1
    bint waiting_is_method_of(object callback, object kind) noexcept

cdef enum:
    # What consumers may take in one turn of the loop: so long, or so many messages, whichever is first. A large message
    # counts for several.
    BUDGET_NS = 2000000
    OVERTIME_NS = 1000000
    PATIENCE = 16384
    # The most messages between two looks at the clock, and the time that should lie between them at most.
    LOOK = 64
    LOOK_NS = 250000

# What the tasks are told that a `Waiter` was for: asyncio's C asks its own futures for their result much faster.
cdef object DONE = Future(loop=Settled())
DONE.set_result(None)

# loop -> its wave, by a weak reference: those that wait in it hold the loop.
cdef object WAVES = WeakKeyDictionary()


@cython.final
@cython.freelist(64)
cdef class Waiter:
    """A future, as far as tasks use one: what they wait on, without a result."""

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
            if self.callback is not None and not self.listed:
                self.wave.add(self)
            self.state = state
        return 0

    cdef int call_back(self) except -1:
        callback = self.callback
        context = self.context
        others = self.others
        self.callback = self.context = self.others = None
        if self.state == PENDING:
            # It was its turn that it waited for.
            self.state = WOKEN
        if others is not None:
            for pair in others:
                self._loop.call_soon(pair[0], self, context=pair[1])
        # None if it was removed, or is called twice.
        if callback is not None:
            if self.state == WOKEN and waiting_is_method_of(callback, Task):
                waiting_call(callback, DONE, context)
            else:
                waiting_call(callback, self, context)
        return 0


@cython.final
cdef class Wave:
    """The waiters of one event loop that were woken or wait for their turn, and the one callback that runs them all.

    Without a loop, it is for streams that are read where none runs, and has all the time there is.
    """

    def __cinit__(self, loop):
        self.loop = loop
        self.woken = []
        # One at first: it may be slow.
        self.step = self.look = 1

    def hold(self):
        """A read begins to be routed: `release()` follows, whatever happens."""
        self.held = True

    def release(self, bint at_once):
        """The read was routed. `at_once`: run who was woken here and now, in the read's own callback.

        The next callback of the loop would be cheaper only for many; to a single message it adds the way there.
        """
        self.held = False
        if (self.woken or self.opened) and not self.scheduled:
            if at_once and self.woken and not self.running:
                try:
                    self()
                except BaseException as error:
                    # KeyboardInterrupt, for one: to be raised by the loop, as from any callback; a transport would
                    # take it for its own.
                    self.loop.call_soon(raise_it, error)
            else:
                self.schedule()

    cdef int schedule(self) except -1:
        if not self.scheduled and not self.held:
            self.loop.call_soon(self)
            self.scheduled = True
        return 0

    cdef int add(self, Waiter waiter) except -1:
        self.woken.append(waiter)
        return self.schedule()

    cdef Waiter line_up(self):
        """What to wait on for one's turn, behind all others."""
        cdef Waiter waiter = Waiter.__new__(Waiter)
        waiter._loop = self.loop
        waiter.wave = self
        waiter.listed = True
        self.add(waiter)
        return waiter

    cdef bint in_time(self) except -1:
        """A look at the clock: whether consumers may go on in this turn of the loop. If not, they line up."""
        cdef int64_t now
        cdef int64_t passed
        if self.spent:
            return False
        if self.loop is not None:
            now = waiting_now()
            # Where messages are slow to decode or to handle, look more often.
            passed = now - self.looked
            if passed <= LOOK_NS:
                self.step = min(LOOK, self.step * 2)
            elif self.opened:
                self.step = max(1, <Py_ssize_t>(self.step * LOOK_NS // passed))
            self.looked = now
            if not self.opened:
                self.open(now)
            if self.opened and (now >= self.until or self.run >= PATIENCE):
                self.spent = True
                self.look = 0
                return False
            self.look = self.run + self.step
        else:
            self.look = self.run + LOOK
        if self.run < PATIENCE < self.look:
            self.look = PATIENCE
        return True

    cdef int open(self, int64_t now) except -1:
        """Tasks that something else has run take messages, or a listener in a read does.

        Whether it is still the same turn can only be seen from within the next one. Being called there costs a turn of
        the loop more, so half of the time must have passed.
        """
        if self.began == 0:
            self.began = now
        elif now - self.began >= BUDGET_NS // 2 or self.run >= PATIENCE:
            self.schedule()
            self.opened = True
            self.until = now + BUDGET_NS // 2
        return 0

    cdef bint in_overtime(self) noexcept:
        """Once time is up: whether what was begun may still be finished."""
        return waiting_now() < self.until + OVERTIME_NS

    def __call__(self):
        cdef list woken = self.woken
        cdef Py_ssize_t count = len(woken)
        cdef Py_ssize_t at = 0
        # Whoever is woken from here on comes in the next turn of the loop, behind what waits for its turn.
        self.woken = []
        self.scheduled = self.spent = False
        self.running = self.opened = True
        self.run = 0
        self.look = self.step
        self.looked = waiting_now()
        self.until = self.looked + BUDGET_NS
        try:
            while at < count:
                at += 1
                (<Waiter>woken[at - 1]).call_back()
                if at < count:
                    self.looked = waiting_now()
                    if self.looked >= self.until:
                        self.spent = True
                        self.look = 0
                        break
        finally:
            self.running = False
            if at < count:
                # Time is up. Or KeyboardInterrupt, for one, is not for us, and the others must not pay for it.
                self.woken = woken[at:] + self.woken
                self.schedule()
            if not self.scheduled:
                self.opened = self.spent = False
                self.run = self.began = 0
                self.look = self.step


# Of streams that nobody has read yet: the first look finds the loop.
cdef Wave NOBODYS = Wave(None)
NOBODYS.look = 0


def raise_it(error):
    """Out of a callback of the loop."""
    raise error


cdef Wave nobodys_wave():
    return NOBODYS


cdef Wave wave_of(loop):
    """The wave of `loop`; of None, one for where no loop runs."""
    cdef Wave wave = None
    if loop is None:
        return Wave(None)
    known = WAVES.get(loop)
    if known is not None:
        wave = known()
    if wave is None:
        wave = Wave(loop)
        WAVES[loop] = ref(wave)
    return wave


def routing_wave(loop):
    """The wave of `loop`, for whoever routes what it reads there: see `Wave.hold()`."""
    return wave_of(loop)


def pending(loop):
    """Whether consumers wait for their turn in `loop`, with messages that are read already."""
    cdef Wave wave
    known = WAVES.get(loop)
    if known is not None:
        wave = known()
        if wave is not None and wave.woken:
            return True
    # Those of an extractor's messages, which are Python objects, are the twin's.
    return pending_in_python(loop)
