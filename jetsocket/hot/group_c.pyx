# cython: language_level=3
"""One queue for the messages of many channels: one task for a thousand of them.

How messages lie there is C (group.h). The Python twin is `group_py.py`.

A member has its group, but the group no member: only the shares, which are C and count what there is to count. Nothing
has to wait for the collector so. What stays of a member that is gone, as long as messages of it are queued, is its
share; it is settled with the GIL, and never while a decoder fills the group without.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from .ring_c cimport (
    GATE_ALWAYS,
    Gate,
    MessageRing,
    Tally,
    gate_enter,
    gate_is_closed,
    gate_leave,
    ring_clear,
    ring_front_received_ns,
    ring_head,
    ring_t,
    span_t,
)

from .group_py import NOT_FOR_A_MEMBER

cdef extern from "group.h" nogil:
    void group_bind(ring_t* ring, group_share* share, ring_t* group, void* channel)
    group_share* group_front(const ring_t* ring, span_t* front)
    group_share* group_at(const ring_t* ring, size_t others)
    void group_pop(ring_t* ring, group_share* share, size_t length)
    void group_drop_oldest(ring_t* ring)

cdef extern from *:
    """
    /* What Cython would check, and raise for, before the gate is open again; see owned(). */
    #define group_bytes_of PyBytes_FromStringAndSize
    #define group_owned(made) ((PyObject *)(made))
    """
    PyObject* bytes_of "group_bytes_of"(const char* data, Py_ssize_t length) noexcept
    bytes owned "group_owned"(PyObject* made)


cdef class GroupRing(MessageRing):
    """A queue for the messages of many channels, in the order in which they came; it is bounded as one MessageRing.

    `member(channel)` gives the ring to route a channel to, which stores here. `take_tagged()` says whose each message
    is; `channel` is that of the message taken last, however it was. What is put into the group itself has none.
    """

    def __cinit__(self):
        group_bind(&self.ring, &self.own, &self.ring, NULL)

    def __dealloc__(self):
        cdef group_share* share = self.departed
        # No member is left.
        self.settle_all(share)
        self.departed = NULL
        release(share)

    def __repr__(self):
        return f"GroupRing({len(self)} of {self.capacity or 'unbounded'} messages, dropped {self.dropped})"

    def member(self, str channel not None):
        """A ring for the messages of `channel`, which go to this one."""
        self.settle()
        return GroupMember(self, channel)

    cdef bytes take_payload(self, bint* binary, int64_t* received_ns):
        cdef span_t front
        cdef group_share* share
        cdef PyObject* payload = NULL
        cdef bint refused = False
        cdef bint finished = False
        channel = None
        gate_enter(self.gate)
        if self.ring.count == 0:
            gate_leave(self.gate)
            raise IndexError("take() from an empty MessageRing")
        share = group_front(&self.ring, &front)
        payload = bytes_of(front.data, <Py_ssize_t>front.length)
        if payload != NULL:
            binary[0] = front.binary
            received_ns[0] = ring_front_received_ns(&self.ring)
            if share.channel != NULL:
                channel = <object>share.channel
            group_pop(&self.ring, share, front.length)
            share.delivered += 1
            self.ring.delivered += 1
            refused = self.ring.refused
            if share.departed:
                finished = self.delivered_late(share)
        gate_leave(self.gate)
        taken = owned(payload)
        if finished:
            self.settle()
        if refused:
            self.made_room()
        # Last: whatever ran meanwhile may have taken others.
        with cython.critical_section(self):
            self.channel = channel
        return taken

    def take_tagged(self):
        """The oldest message: its channel, its payload, whether it is binary, when it was received (ns).

        IndexError when empty.
        """
        cdef bint binary = False
        cdef int64_t received_ns = 0
        payload = self.take_payload(&binary, &received_ns)
        return self.channel, payload, bool(binary), received_ns

    def channel_at(self, uint64_t index):
        """Whose the message of this index is, of all that were ever queued (see `head`); None if it is not queued."""
        cdef group_share* share = NULL
        cdef uint64_t head
        channel = None
        gate_enter(self.gate)
        head = ring_head(&self.ring)
        if head <= index < head + self.ring.count:
            share = group_at(&self.ring, <size_t>(index - head))
            if share.channel != NULL:
                channel = <object>share.channel
        gate_leave(self.gate)
        return channel

    def clear(self):
        """Drop everything that is queued; returns how many messages that were."""
        cdef size_t count, i
        gate_enter(self.gate)
        count = self.ring.count
        for i in range(count):
            group_drop_oldest(&self.ring)
        ring_clear(&self.ring)
        gate_leave(self.gate)
        self.settle()
        if self.ring.refused:
            self.made_room()
        return count

    # The shares of members that are gone.

    cdef int depart(self, group_share* share) noexcept:
        """Nothing more will be put in as `share`. Where somebody is behind the gate, what follows of it has to wait."""
        if GATE_ALWAYS:
            gate_enter(self.gate)
        share.departed = True
        share.next = self.departed
        self.departed = share
        if GATE_ALWAYS:
            gate_leave(self.gate)
        if not gate_is_closed(self.gate):
            self.settle()
        return 0

    cdef bint delivered_late(self, group_share* share) noexcept:
        """A message of a member that is gone was taken; whether it was the last. Inside the gate."""
        if share.counted and share.tally != NULL:
            (<Tally>share.tally).delivered += 1
            (<Tally>share.tally).dropped -= 1
        return share.queued == 0

    cdef int settle(self) noexcept:
        """Tell the tallies what is new, and forget the shares that nothing is queued of."""
        cdef group_share* done = NULL
        cdef group_share* share
        cdef group_share** place
        if self.departed == NULL:
            return 0
        gate_enter(self.gate)
        self.settle_all(self.departed)
        place = &self.departed
        while place[0] != NULL:
            share = place[0]
            if share.queued == 0:
                place[0] = share.next
                share.next = done
                done = share
            else:
                place = &share.next
        gate_leave(self.gate)
        release(done)
        return 0

    cdef int settle_all(self, group_share* share) noexcept:
        cdef Tally tally
        while share != NULL:
            if not share.counted and share.tally != NULL:
                tally = <Tally>share.tally
                tally.received += share.delivered + share.dropped + share.queued
                tally.delivered += share.delivered
                tally.dropped += share.dropped + share.queued
            share.counted = True
            share = share.next
        return 0


cdef int release(group_share* share) noexcept:
    """Give `share` and those behind it back; that may run any code."""
    cdef group_share* following
    while share != NULL:
        following = share.next
        Py_XDECREF(<PyObject*>share.channel)
        Py_XDECREF(<PyObject*>share.tally)
        free(share)
        share = following
    return 0


# No part of it can lead back to it alone, and it needs the group to the last.
@cython.no_gc_clear
cdef class GroupMember(MessageRing):
    """The ring of one channel in a GroupRing: it stores there, and counts what became of this channel's messages.

    `GroupRing.member()` makes it. Its bounds and its consumer are the group's. When it goes, what is queued of it
    stays; for its `tally` that is dropped, until it is delivered after all. To take from it raises TypeError.
    """

    cdef readonly GroupRing group
    cdef readonly str channel
    cdef group_share* share

    def __cinit__(self, GroupRing group not None, str channel not None):
        self.share = <group_share*>calloc(1, sizeof(group_share))
        if self.share == NULL:
            raise MemoryError("no memory for a member of a group")
        self.group = group
        self.channel = channel
        Py_INCREF(channel)
        group_bind(&self.ring, self.share, &group.ring, <void*>channel)

    def __init__(self, group, channel):
        if self.initialised:
            raise TypeError("a GroupMember is initialised once")
        self.initialised = True

    def __dealloc__(self):
        if self.share != NULL:
            self.share.tally = self.tallied
            self.tallied = NULL
            self.group.depart(self.share)

    def accept(self, bytes payload not None, bint binary, int64_t received_ns):
        """Queue one message in the group; False when that is full and blocks."""
        # Others may be routed to the group already.
        if self.group.gate != self.gate:
            MessageRing.join(self, self.group.doorway_of())
        return MessageRing.accept(self, payload, binary, received_ns)

    def __len__(self):
        return <Py_ssize_t>self.share.queued

    def __repr__(self):
        return f"GroupMember({self.channel!r}, {len(self)} queued, dropped {self.dropped})"

    @property
    def capacity(self):
        return self.group.capacity

    @property
    def max_bytes(self):
        return self.group.max_bytes

    @property
    def overflow(self):
        return self.group.overflow

    @property
    def nbytes(self):
        return self.share.nbytes

    @property
    def received(self):
        return self.share.delivered + self.share.dropped + self.share.queued

    @property
    def delivered(self):
        return self.share.delivered

    @property
    def dropped(self):
        return self.share.dropped

    @property
    def waiting(self):
        return bool(self.group.ring.waiting)

    @waiting.setter
    def waiting(self, bint value):
        self.group.ring.waiting = value

    @property
    def refused(self):
        return bool(self.group.ring.refused)

    def set_bounds(self, Py_ssize_t capacity, Py_ssize_t max_bytes):
        """The group's."""
        self.group.set_bounds(capacity, max_bytes)

    def stop_blocking(self):
        """The group's."""
        self.group.stop_blocking()

    cpdef wake(self):
        """Wake whoever waits for messages of the group."""
        self.group.wake()

    cdef int join(self, Gate doorway) except -1:
        MessageRing.join(self, doorway)
        return self.group.join(doorway)

    cdef Gate doorway_of(self):
        cdef Gate doorway = self.group.doorway_of()
        MessageRing.join(self, doorway)
        return doorway

    cdef bytes take_payload(self, bint* binary, int64_t* received_ns):
        raise TypeError(NOT_FOR_A_MEMBER)

    def clear(self):
        """Raises TypeError."""
        raise TypeError(NOT_FOR_A_MEMBER)
