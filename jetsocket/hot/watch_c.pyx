# cython: language_level=3
"""What is looked for in a channel's messages on their way to its queue: signs of life, and numbers that must follow.

The looking is C (watch.h, sequence.h); here are its owners. The Python twin is `watch_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free

from .ring_c cimport gate_enter, gate_leave, ring_init

RULES = ("next", "previous", "range")


cdef class Claimable:
    """What is for one router at a time: memory in it is used without the GIL."""

    cdef int claim(self) except -1:
        if self.claimed:
            raise ValueError(f"a {type(self).__name__} is for one channel, and this one is in use")
        self.claimed = True
        return 0

    cdef int stand_behind(self, Gate doorway) except -1:
        """Its router works behind that gate."""
        self.doorway = doorway
        return 0

    cdef gate_t* gate(self) noexcept:
        return NULL if self.doorway is None else &self.doorway.gate


cdef class Sequence(Claimable):
    """Numbers that follow one another from message to message. One is for one channel, or for one router.

    `path` is where a message has its number: digits, as a number or as a string, up to 2**63 - 1. Each is the last one
    plus one; unless `previous` is where a message names its predecessor's number, which may be any; or `first` is
    where it has the first number of several, of which `path` is the last.

    What has no number at `path` is let alone; what lacks the other one, or names a predecessor below 0, starts afresh.
    Numbers that are not above the last one are `repeated`, and no break; but where one of these follows the one before,
    they have begun anew, and from there they count: a break of an unknown size. ValueError if a path is none.
    """

    def __cinit__(self, str path not None, *, str previous=None, str first=None):
        if previous is not None and first is not None:
            raise ValueError("a Sequence goes by `previous` or by `first`, not by both")
        self.path = path
        self.previous = previous
        self.first = first
        self.key = ChannelKey(path)
        self.sequence.path = self.key.plan
        self.sequence.rule = SEQUENCE_NEXT
        if previous is not None or first is not None:
            self.other_key = ChannelKey(first if previous is None else previous)
            self.sequence.other = self.other_key.plan
            self.sequence.rule = SEQUENCE_RANGE if previous is None else SEQUENCE_PREVIOUS

    @property
    def rule(self):
        """Which number is expected: "next", "previous" or "range"."""
        return RULES[<int>self.sequence.rule]

    @property
    def last(self):
        return self.sequence.last if self.sequence.known else None

    @property
    def last_ns(self):
        return self.sequence.last_ns

    @property
    def breaks(self):
        return self.sequence.breaks

    @property
    def repeated(self):
        return self.sequence.repeated

    def __repr__(self):
        return f"Sequence({self.path!r}, rule {self.rule}, last {self.last}, breaks {self.breaks})"

    def reset(self):
        """Whatever number comes next is right: a connection is new."""
        cdef gate_t* gate = self.gate()
        gate_enter(gate)
        self.sequence.known = False
        self.sequence.strayed = False
        self.sequence.last_ns = 0
        gate_leave(gate)


cdef class Watch(Claimable):
    """What a Router looks for in the messages of one channel, besides queueing them. One is for one channel.

    `skip`, a path and a text: a message that has this text there is but a sign of life. It is not queued. The router
    counts it as unroutable, but does not spill it; `skipped` counts those. `sequence`: breaks in it are noted on the
    channel's rings.
    """

    def __cinit__(self, *, tuple skip=None, Sequence sequence=None):
        if skip is not None:
            path, text = skip
            self.skip_key = ChannelKey(path)
            self.text = (<str?>text).encode("utf-8", "surrogatepass")
            self.rules.skip = self.skip_key.plan
            self.rules.text = PyBytes_AS_STRING(self.text)
            self.rules.length = <size_t>PyBytes_GET_SIZE(self.text)
        self.skip = skip
        if sequence is not None:
            sequence.claim()
            self.rules.sequence = &sequence.sequence
        self.sequence = sequence

    cdef int stand_behind(self, Gate doorway) except -1:
        self.doorway = doorway
        if self.sequence is not None:
            self.sequence.doorway = doorway
        return 0

    @property
    def skipped(self):
        return self.rules.skipped


@cython.final
cdef class Relay:
    """Stands in the table for a channel that has several rings, or a watch. It never changes."""

    def __dealloc__(self):
        free(self.channel.rings)


cdef Relay relay_of(list rings, Watch rules):
    cdef Relay relay = Relay.__new__(Relay)
    cdef size_t i
    relay.channel.count = <size_t>len(rings)
    relay.channel.rings = <ring_t**>calloc(relay.channel.count, sizeof(ring_t*))
    if relay.channel.rings == NULL:
        raise MemoryError(f"no memory for a channel of {len(rings)} rings")
    for i in range(relay.channel.count):
        relay.channel.rings[i] = &(<MessageRing?>rings[i]).ring
    if rules is not None:
        relay.rules = rules
        relay.channel.rules = &rules.rules
    ring_init(&relay.stand_in)
    relay.watch.channel = &relay.channel
    relay.stand_in.watch = &relay.watch
    return relay


@cython.final
cdef class Entry:
    """What a slot of the table points to."""

    cdef int lead_to(self, list rings, Relay relay) except -1:
        self.ring = rings[0]
        self.rings = rings if len(rings) > 1 else None
        self.relay = relay
        return 0

    cdef list all_rings(self):
        return [self.ring] if self.rings is None else self.rings

    cdef bint has(self, MessageRing ring) except -1:
        for other in self.all_rings():
            if other is ring:
                return True
        return False
