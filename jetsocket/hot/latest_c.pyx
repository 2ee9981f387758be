# cython: language_level=3
"""A queue that keeps no more than the newest message of each key: conflation.

The queue itself is C (latest.h). The Python twin is `latest_py.py`.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from os import urandom
from struct import unpack

from .keys_c cimport ChannelKey, key_plan_t
from .ring_c cimport MessageRing, gate_enter, gate_leave, ring_front_received_ns, ring_t, span_t

cdef extern from "latest.h" nogil:
    ctypedef struct latest_t:
        key_plan_t* plan
        uint64_t[2] seed
        uint64_t conflated

    void latest_init(latest_t* latest, ring_t* ring)
    span_t latest_front(const latest_t* latest)
    void latest_pop(latest_t* latest)
    void latest_clear(latest_t* latest)

cdef extern from *:
    """
    /* What Cython would check, and raise for, before the gate is open again; see owned(). */
    #define latest_bytes_of PyBytes_FromStringAndSize
    #define latest_owned(made) ((PyObject *)(made))
    """
    PyObject* bytes_of "latest_bytes_of"(const char* data, Py_ssize_t length) noexcept
    bytes owned "latest_owned"(PyObject* made)

cdef uint64_t[2] seed
seed[0], seed[1] = unpack("=QQ", urandom(16))


cdef class LatestRing(MessageRing):
    """A queue of the newest message of each `key`, which is read from the message; without a key, of the newest alone.

    A message takes the place of the one of its key that is still queued, in the order too: a busy key keeps no other
    from its turn. What is replaced counts as `dropped`, and as `conflated`. Messages that have no key share one.

    `capacity` (keys that are queued) and `max_bytes` (of payloads) bound it; 0 means unbounded. Beyond, the key that is
    queued longest goes, but never for a message of its own; a message over `max_bytes` goes itself.

    Raises ValueError for negative bounds.
    """

    cdef latest_t latest
    cdef readonly ChannelKey key
    cdef ChannelKey own_key

    def __cinit__(self):
        latest_init(&self.latest, &self.ring)
        self.latest.seed = seed

    def __init__(self, Py_ssize_t capacity=0, *, Py_ssize_t max_bytes=0, ChannelKey key=None):
        MessageRing.__init__(self, capacity, max_bytes=max_bytes)
        if key is not None:
            self.key = key
            # What its plan is read with, memory included, is for one thread at a time, and the key may have other users.
            self.own_key = ChannelKey(key.spec)
            self.latest.plan = self.own_key.plan

    def __dealloc__(self):
        # What is queued is counted after this.
        latest_clear(&self.latest)

    @property
    def overflow(self):
        return "latest"

    @property
    def conflated(self):
        """Messages that the next one of their key replaced."""
        return self.latest.conflated

    def __repr__(self):
        return f"LatestRing({len(self)} of {self.capacity or 'unbounded'} keys, conflated {self.conflated})"

    cdef bytes take_payload(self, bint* binary, int64_t* received_ns):
        cdef span_t front
        cdef PyObject* payload = NULL
        gate_enter(self.gate)
        if self.ring.count == 0:
            gate_leave(self.gate)
            raise IndexError("take() from an empty MessageRing")
        front = latest_front(&self.latest)
        payload = bytes_of(front.data, <Py_ssize_t>front.length)
        if payload != NULL:
            binary[0] = front.binary
            received_ns[0] = ring_front_received_ns(&self.ring)
            latest_pop(&self.latest)
            self.ring.delivered += 1
        gate_leave(self.gate)
        return owned(payload)

    def take_breaks(self):
        """As of any ring, but for where: before all that is queued, as what follows a break may be in any place."""
        return [(self.head, *found[1:]) for found in MessageRing.take_breaks(self)]

    def clear(self):
        """Drop everything that is queued; returns how many messages that were."""
        cdef size_t count
        gate_enter(self.gate)
        count = self.ring.count
        latest_clear(&self.latest)
        self.ring.count = self.ring.nbytes = 0
        self.ring.dropped += count
        gate_leave(self.gate)
        return count
