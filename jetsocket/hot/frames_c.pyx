# cython: language_level=3
"""Frames of RFC 6455, client side: bytes in, whole messages out. How messages go out is in frames_out_c.pyx.

`FrameDecoder.scan` is the hot loop: whole messages in one frame go from the receive buffer to the sink without a Python
object. Whatever it does not understand at a glance (control frames, fragments, compression, long or partial frames,
faults) it leaves to `step`, which reads as its twin in `frames_py.py` does; a frame that `scan` has to give up on is
judged by `step` from its first byte again.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from cpython.pyport cimport PY_SSIZE_T_MAX

from .receiving_c cimport ReceiveBuffer
from .ring_c cimport GATE_ALWAYS, Gate, Sink, gate_close, gate_enter, gate_leave, gate_open, sink_t, span_t

from .frames_py import Control, Fault, InflateError

cdef extern from "utf8.h" nogil:
    ctypedef int (*utf8_ascii_function)(const uint8_t* data, size_t length) noexcept nogil
    utf8_ascii_function utf8_is_ascii_for_this_machine()
    ctypedef size_t (*utf8_wide_function)(const uint8_t* data, size_t length) noexcept nogil
    utf8_wide_function utf8_wide_for_this_machine()
    size_t utf8_validate(const uint8_t* data, size_t length, uint32_t* state, utf8_wide_function wide)

cdef extern from "frame_head.h" nogil:
    ctypedef struct frame_head:
        size_t size
        uint64_t length
        const char* problem

    bint frame_head_read(const uint8_t* data, size_t available, bint assembling, bint inflates, frame_head* head)

cdef extern from "fragments.h" nogil:
    ctypedef struct fragments_t:
        uint8_t* data
        size_t length

    int fragments_append(fragments_t* fragments, const uint8_t* data, size_t length)
    void fragments_reset(fragments_t* fragments)
    void fragments_free(fragments_t* fragments)

cdef enum:
    OP_CONT = 0x0
    OP_TEXT = 0x1
    OP_BINARY = 0x2
    OP_CLOSE = 0x8
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    TOO_BIG = 1009
    # Messages that are handed on at a time.
    RUN = 16
    # So much is decoded without the GIL: of less, to let it go and take it again would be a good part of the cost.
    WITHOUT_GIL = 32 * 1024


cdef class FrameDecoder(ReceiveBuffer):
    """Decodes what a server sends and hands each whole message to `sink`.

    `max_message_size` (bytes, 0 = none) bounds a message after reassembly and inflation. `inflate(message, limit)`
    inflates a compressed message (RFC 7692) or raises `InflateError`; without it RSV1 is a protocol error.
    """

    cdef Sink sink
    cdef sink_t* target
    # None: the sink needs the GIL.
    cdef Gate doorway
    cdef object inflate
    cdef uint64_t limit
    # The message being assembled: its opcode (0 when there is none), whether it is compressed, what came so far.
    cdef int opcode
    cdef bint compressed
    cdef fragments_t parts
    cdef utf8_ascii_function is_ascii
    cdef utf8_wide_function wide
    # Text is checked as it arrives; `checked` counts the bytes of the unfinished frame that were.
    cdef uint32_t utf8
    cdef size_t checked
    cdef bytes held
    cdef bint held_binary
    cdef int64_t held_ns
    cdef int64_t received_ns
    # While messages are handed on: what takes them may be Python code, and must find the buffer as it is.
    cdef bint busy
    cdef readonly object fault
    cdef readonly bint blocked
    cdef readonly bint closed
    cdef readonly uint64_t bytes_received
    cdef readonly uint64_t frames_received

    # Not __init__, which could be called twice or not at all.
    def __cinit__(self, Sink sink not None, *, Py_ssize_t max_message_size=64 * 2**20, inflate=None):
        if max_message_size < 0:
            raise ValueError(f"max_message_size must be non-negative, got {max_message_size}")
        if sink.target == NULL:
            raise TypeError(f"{type(sink).__name__} cannot take messages from a compiled decoder")
        self.sink = sink
        self.target = sink.target
        self.doorway = sink.doorway_of()
        self.is_ascii = utf8_is_ascii_for_this_machine()
        self.wide = utf8_wide_for_this_machine()
        self.limit = <uint64_t>(max_message_size or PY_SSIZE_T_MAX)
        self.inflate = inflate

    def __dealloc__(self):
        fragments_free(&self.parts)

    @property
    def in_message(self):
        """Whether a message or a frame has begun that has not ended."""
        return self.opcode != 0 or self.end > self.pos or self.held is not None

    @cython.critical_section
    def get_buffer(self, sizehint=-1):
        """Free space to read into; valid until `commit()`. `sizehint` is of no account (asyncio gives one)."""
        if self.busy:
            raise reentered()
        return self.space(self.opcode == 0)

    def feed(self, data not None, int64_t received_ns):
        """Take `data` as if it had been read from the socket."""
        view = memoryview(data)
        events = None
        while True:
            space = self.get_buffer()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            view = view[count:]
            found = self.commit(count, received_ns)
            if found is not None:
                events = found if events is None else events + found
            if not len(view):
                return events

    @cython.critical_section
    def commit(self, Py_ssize_t nbytes, int64_t received_ns):
        """Decode `nbytes` that were read into `get_buffer()` at `received_ns` (nanoseconds since the epoch).

        Returns the control frames among them, or None where there were none; a list, perhaps empty, when `fault` was
        set. Raises ValueError when `nbytes` is negative or more than the buffer has room for.
        """
        if self.busy:
            raise reentered()
        if nbytes < 0 or <size_t>nbytes > self.size - self.end:
            raise ValueError(f"commit() of {nbytes} bytes into {self.size - self.end} bytes of space")
        if self.fault is not None or self.closed:
            return None
        self.bytes_received += <uint64_t>nbytes
        self.fill(<size_t>nbytes)
        self.received_ns = received_ns
        if self.blocked:
            return None
        return self.run()

    @cython.critical_section
    def resume(self):
        """Go on after the sink had no room; returns what `commit()` does, `blocked` tells whether it has room now."""
        cdef bint taken
        if self.busy:
            raise reentered()
        if not self.blocked or self.fault is not None:
            return None
        if self.held is not None:
            self.busy = True
            try:
                taken = self.offer(<const uint8_t*>PyBytes_AS_STRING(self.held),
                                   <size_t>PyBytes_GET_SIZE(self.held), self.held_binary, self.held_ns)
            finally:
                self.busy = False
            if not taken:
                return None
            self.held = None
        self.blocked = False
        return self.run()

    cdef object run(self):
        cdef list events = []
        cdef size_t before
        self.busy = True
        try:
            while self.pos < self.end:
                if not self.opcode and not self.checked:
                    self.scan_gated()
                    if self.pos == self.end:
                        break
                before = self.pos
                self.step(events)
                if self.pos == before or self.blocked or self.closed or self.fault is not None:
                    break
        finally:
            self.busy = False
            # What was consumed stays consumed, also where the sink or inflating raised.
            self.sink.wake()
        if self.fault is not None or self.closed:
            self.pos = self.end = 0
        return events if events or self.fault is not None else None

    cdef void scan_gated(self) noexcept:
        cdef bint large = self.end - self.pos >= WITHOUT_GIL
        if self.doorway is None or not (large or GATE_ALWAYS):
            self.scan()
            return
        gate_close(&self.doorway.gate)
        if large:
            with nogil:
                self.scan()
        else:
            self.scan()
        gate_open(&self.doorway.gate)

    cdef void scan(self) noexcept nogil:
        """Deliver whole messages, each in one frame with a length of 7 or 16 bits, up to the first that is not."""
        cdef const uint8_t* data = self.data
        cdef sink_t* target = self.target
        cdef span_t[RUN] spans
        cdef size_t end = self.end
        cdef size_t pos, start, length, count
        cdef Py_ssize_t taken
        cdef utf8_ascii_function is_ascii = self.is_ascii
        cdef uint32_t state = 0
        cdef uint8_t first
        while True:
            pos = self.pos
            count = 0
            while count < RUN and end - pos >= 2:
                first = data[pos]
                length = data[pos + 1]
                start = pos + 2
                if first != 0x81 and first != 0x82:
                    break
                if length >= 126:
                    if length != 126 or end - pos < 4:
                        break
                    length = <size_t>data[pos + 2] << 8 | data[pos + 3]
                    start = pos + 4
                    if length < 126:
                        break
                # start <= end, so the difference cannot wrap.
                if length > end - start or length > self.limit:
                    break
                if first == 0x81 and not is_ascii(data + start, length):
                    if utf8_validate(data + start, length, &state, self.wide) != length or state != 0:
                        break
                spans[count].data = <const char*>data + start
                spans[count].length = length
                spans[count].binary = first == 0x82
                count += 1
                pos = start + length
            if count == 0:
                return
            taken = target.accept(target, spans, count, self.received_ns)
            if taken > 0:
                self.frames_received += <uint64_t>taken
                self.pos = <size_t>(spans[taken - 1].data - <const char*>data) + spans[taken - 1].length
            if taken < <Py_ssize_t>count or count < RUN:
                return

    cdef int fail(self, int code, str reason) except -1:
        self.fault = Fault(code, reason)
        return 0

    cdef int step(self, list events) except -1:
        """One frame of any kind. `pos` stays where it is when the frame is not complete, or at fault."""
        cdef const uint8_t* data = self.data + self.pos
        cdef size_t available = self.end - self.pos
        cdef uint8_t first = data[0]
        cdef int opcode = first & 0x0F
        cdef bint final = (first & 0x80) != 0
        cdef bint compressed
        cdef frame_head read
        cdef size_t head, arrived, size
        if not frame_head_read(data, available, self.opcode != 0, self.inflate is not None, &read):
            return 0
        if read.problem != NULL:
            return self.fail(PROTOCOL_ERROR, read.problem.decode("ascii").format(opcode))
        head = read.size
        if opcode >= 8:
            if read.length > available - head:
                return 0
            self.frames_received += 1
            events.append(Control(opcode, PyBytes_FromStringAndSize(<const char*>data + head, <Py_ssize_t>read.length)))
            if opcode == OP_CLOSE:
                self.closed = True
            self.pos += head + <size_t>read.length
            return 0
        # Both are below 2**63, so the sum does not wrap; from here on the length is at most the limit.
        if self.parts.length + read.length > self.limit:
            whole = self.parts.length + read.length
            return self.fail(TOO_BIG, f"a message of at least {whole} bytes, over {self.limit}")
        size = <size_t>read.length
        compressed = (first & 0x40) != 0 or self.compressed
        arrived = size if size <= available - head else available - head
        if not compressed and (opcode == OP_TEXT or (opcode == OP_CONT and self.opcode == OP_TEXT)):
            if not self.check_text(data + head + self.checked, arrived - self.checked, final and arrived == size):
                return 0
            self.checked = arrived
        if arrived < size:
            return 0
        # First: where there is no memory for it, the fragment is not consumed, and the message has no gap.
        if not final or opcode == OP_CONT:
            if fragments_append(&self.parts, data + head, size) < 0:
                raise MemoryError(f"no memory for a message of {self.parts.length + size} bytes")
        self.frames_received += 1
        self.checked = 0
        self.pos += head + size
        if final and opcode != OP_CONT:
            return self.finish(data + head, size, opcode == OP_BINARY, compressed)
        if opcode != OP_CONT:
            self.opcode = opcode
            self.compressed = compressed
        if final:
            opcode = self.opcode
            size = self.parts.length
            self.opcode = 0
            self.parts.length = 0
            compressed = self.compressed
            self.compressed = False
            self.finish(self.parts.data, size, opcode == OP_BINARY, compressed)
            fragments_reset(&self.parts)
        return 0

    cdef bint check_text(self, const uint8_t* data, size_t length, bint final) except -1:
        if utf8_validate(data, length, &self.utf8, self.wide) != length or (final and self.utf8 != 0):
            self.fail(INVALID_DATA, "a text message that is not valid UTF-8")
            return False
        return True

    cdef int finish(self, const uint8_t* data, size_t length, bint binary, bint compressed) except -1:
        """The message is complete: inflate it where it is compressed, and deliver it."""
        cdef bytes payload = None
        if compressed:
            try:
                payload = self.inflate(PyBytes_FromStringAndSize(<const char*>data, <Py_ssize_t>length), self.limit)
            except InflateError as error:
                return self.fail(error.code, error.reason)
            if payload is None:
                raise TypeError("inflate() must give bytes, got NoneType")
            data = <const uint8_t*>PyBytes_AS_STRING(payload)
            length = <size_t>PyBytes_GET_SIZE(payload)
            if not binary and not self.check_text(data, length, True):
                return 0
        if not self.offer(data, length, binary, self.received_ns):
            self.held = PyBytes_FromStringAndSize(<const char*>data, <Py_ssize_t>length)
            self.held_binary = binary
            self.held_ns = self.received_ns
            self.blocked = True
        return 0

    cdef int offer(self, const uint8_t* data, size_t length, bint binary, int64_t received_ns) except -1:
        cdef span_t span
        cdef Py_ssize_t taken
        span.data = <const char*>data
        span.length = length
        span.binary = binary
        gate_enter(NULL if self.doorway is None else &self.doorway.gate)
        taken = self.target.accept(self.target, &span, 1, received_ns)
        gate_leave(NULL if self.doorway is None else &self.doorway.gate)
        if taken < 0:
            raise MemoryError(f"no memory to queue a message of {length} bytes")
        return taken == 1


cdef object reentered():
    return RuntimeError("a FrameDecoder cannot be used by what takes its messages, while it does")
