# cython: language_level=3
"""Frames of RFC 6455, client side: bytes in, whole messages out; messages in, masked frames out.

`FrameDecoder.scan` is the hot loop: whole messages in one frame go from the receive buffer to the sink without a Python
object. Whatever it does not understand at a glance (control frames, fragments, compression, long or partial frames,
faults) it leaves to `step`, which reads as its twin in `frames_py.py` does; a frame that `scan` has to give up on is
judged by `step` from its first byte again.

The receive buffer is a bytearray that is replaced, never resized: a view that a transport still holds stays valid.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from cpython.pyport cimport PY_SSIZE_T_MAX

from .ring_c cimport GATE_ALWAYS, Gate, Sink, gate_close, gate_enter, gate_leave, gate_open, sink_t, span_t

from .frames_py import Control, Fault, InflateError

cdef extern from "utf8.h" nogil:
    ctypedef int (*utf8_ascii_function)(const uint8_t* data, size_t length) noexcept nogil
    utf8_ascii_function utf8_is_ascii_for_this_machine()
    ctypedef size_t (*utf8_wide_function)(const uint8_t* data, size_t length) noexcept nogil
    utf8_wide_function utf8_wide_for_this_machine()
    size_t utf8_validate(const uint8_t* data, size_t length, uint32_t* state, utf8_wide_function wide)

cdef extern from "mask.h" nogil:
    void mask_bytes(uint8_t* target, const uint8_t* source, size_t length, const uint8_t* key)

cdef enum:
    OP_CONT = 0x0
    OP_TEXT = 0x1
    OP_BINARY = 0x2
    OP_CLOSE = 0x8
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    TOO_BIG = 1009
    FIRST_BUFFER = 64 * 1024
    LARGEST_IDLE_BUFFER = 256 * 1024
    LEAST_READ = 16 * 1024
    # Messages that are handed on at a time.
    RUN = 16
    # So much is decoded without the GIL: of less, to let it go and take it again would be a good part of the cost.
    WITHOUT_GIL = 32 * 1024


cdef class FrameDecoder:
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
    cdef bytearray storage
    cdef object view
    cdef uint8_t* data
    cdef size_t size
    cdef size_t pos
    cdef size_t end
    cdef size_t idle_size
    cdef int calm
    # The message being assembled: its opcode (0 when there is none), whether it is compressed, what came so far.
    cdef int opcode
    cdef bint compressed
    cdef uint8_t* parts
    cdef size_t parts_used
    cdef size_t parts_size
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
        self.idle_size = FIRST_BUFFER
        self.replace_buffer(FIRST_BUFFER)

    def __dealloc__(self):
        free(self.parts)

    @property
    def in_message(self):
        """Whether a message or a frame has begun that has not ended."""
        return self.opcode != 0 or self.end > self.pos or self.held is not None

    @cython.critical_section
    def get_buffer(self, sizehint=-1):
        """Free space to read into; valid until `commit()`. `sizehint` is of no account (asyncio gives one)."""
        cdef size_t left
        if self.busy:
            raise reentered()
        if self.pos:
            left = self.end - self.pos
            memmove(self.data, self.data + self.pos, left)
            self.pos = 0
            self.end = left
        if self.size - self.end < LEAST_READ or self.size < self.idle_size:
            self.replace_buffer(max(self.size * 2, self.idle_size))
        elif self.size > self.idle_size and not self.opcode:
            # A buffer that grew for a large frame is given back when no other such frame comes.
            if self.end < self.idle_size // 2:
                self.calm += 1
            else:
                self.calm = 0
            if self.calm > 8:
                self.replace_buffer(self.idle_size)
        # Held while it is sliced: another thread, or a finalizer that runs now, may come here and replace it.
        view = self.view
        return view[<Py_ssize_t>self.end:]

    cdef int replace_buffer(self, size_t size) except -1:
        cdef bytearray storage = PyByteArray_FromStringAndSize(NULL, <Py_ssize_t>size)
        cdef uint8_t* data = <uint8_t*>PyByteArray_AS_STRING(storage)
        view = memoryview(storage)
        # What is replaced is held until all of it is: where there is no GIL, freeing may let another thread in.
        former = (self.view, self.storage)
        if self.end:
            memcpy(data, self.data, self.end)
        self.view = view
        self.storage = storage
        self.data = data
        self.size = size
        self.calm = 0
        del former
        return 0

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
        if <size_t>nbytes == self.size - self.end and self.idle_size < LARGEST_IDLE_BUFFER:
            self.idle_size *= 2
        self.bytes_received += <uint64_t>nbytes
        self.end += <size_t>nbytes
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
        cdef uint64_t length
        cdef size_t head = 2, arrived, size
        problem = self.judge(first, opcode, final)
        if problem is not None:
            return self.fail(PROTOCOL_ERROR, problem)
        if available < 2:
            return 0
        length = data[1]
        if length & 0x80:
            return self.fail(PROTOCOL_ERROR, "a masked frame from the server")
        if length >= 126:
            if opcode >= 8:
                return self.fail(PROTOCOL_ERROR, "a control frame longer than 125 bytes")
            head = 4 if length == 126 else 10
            if available < head:
                return 0
            length = read_length(data + 2, head - 2)
            if length >> 63:
                return self.fail(PROTOCOL_ERROR, "a frame length with the highest bit set")
            if length < (126 if head == 4 else 65536):
                return self.fail(PROTOCOL_ERROR, "a frame length not in its shortest form")
        if opcode >= 8:
            if length > available - head:
                return 0
            self.frames_received += 1
            events.append(Control(opcode, PyBytes_FromStringAndSize(<const char*>data + head, <Py_ssize_t>length)))
            if opcode == OP_CLOSE:
                self.closed = True
            self.pos += head + <size_t>length
            return 0
        # Both are below 2**63, so the sum does not wrap; from here on the length is at most the limit.
        if self.parts_used + length > self.limit:
            return self.fail(TOO_BIG, f"a message of at least {self.parts_used + length} bytes, over {self.limit}")
        size = <size_t>length
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
            self.append(data + head, size)
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
            size = self.parts_used
            self.opcode = 0
            self.parts_used = 0
            compressed = self.compressed
            self.compressed = False
            self.finish(self.parts, size, opcode == OP_BINARY, compressed)
            if self.parts_size > FIRST_BUFFER:
                free(self.parts)
                self.parts = NULL
                self.parts_size = 0
        return 0

    cdef object judge(self, uint8_t first, int opcode, bint final):
        """What is wrong with a frame's first byte (RFC 6455 sections 5.2, 5.4 and 5.5; RFC 7692 section 6)."""
        if first & 0x30 or (first & 0x40 and (self.inflate is None or (opcode != OP_TEXT and opcode != OP_BINARY))):
            return "reserved bits set in a frame's header"
        if 3 <= opcode <= 7 or opcode >= 0xB:
            return f"a frame with the reserved opcode {opcode}"
        if opcode >= 8:
            return None if final else "a fragmented control frame"
        if opcode == OP_CONT and not self.opcode:
            return "a continuation frame with nothing to continue"
        if opcode != OP_CONT and self.opcode:
            return "a new message before the last one ended"
        return None

    cdef bint check_text(self, const uint8_t* data, size_t length, bint final) except -1:
        if utf8_validate(data, length, &self.utf8, self.wide) != length or (final and self.utf8 != 0):
            self.fail(INVALID_DATA, "a text message that is not valid UTF-8")
            return False
        return True

    cdef int append(self, const uint8_t* data, size_t length) except -1:
        """Add to the message being assembled; the limit was checked before."""
        cdef size_t size = self.parts_size
        cdef uint8_t* parts
        # Even of nothing something is made: memcpy must not be given NULL.
        if self.parts == NULL or length > size - self.parts_used:
            size = max(2 * size, self.parts_used + length, <size_t>4096)
            parts = <uint8_t*>realloc(self.parts, size)
            if parts == NULL:
                raise MemoryError(f"no memory for a message of {self.parts_used + length} bytes")
            self.parts = parts
            self.parts_size = size
        if length:
            memcpy(self.parts + self.parts_used, data, length)
            self.parts_used += length
        return 0

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


cdef inline uint64_t read_length(const uint8_t* data, size_t width) noexcept nogil:
    cdef uint64_t length = 0
    cdef size_t i
    for i in range(width):
        length = length << 8 | data[i]
    return length


def apply_mask(bytes data not None, bytes mask not None):
    """`data` XOR the repeated four bytes of `mask` (RFC 6455 section 5.3). Raises ValueError for another length."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef bytes masked
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, got {len(mask)}")
    masked = PyBytes_FromStringAndSize(NULL, size)
    mask_bytes(<uint8_t*>PyBytes_AS_STRING(masked), <const uint8_t*>PyBytes_AS_STRING(data), <size_t>size,
               <const uint8_t*>PyBytes_AS_STRING(mask))
    return masked


def encode_frame(int opcode, bytes payload not None, bytes mask not None, *, bint rsv1=False, bint fin=True):
    """One masked frame (RFC 6455 section 5.2). Raises ValueError for a mask that has not four bytes, or no opcode."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 65536 else 10
    cdef uint8_t* out
    cdef bytes frame
    cdef Py_ssize_t i
    if not 0 <= opcode <= 15:
        raise ValueError(f"an opcode is 0 to 15, got {opcode}")
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, got {len(mask)}")
    frame = PyBytes_FromStringAndSize(NULL, head + 4 + size)
    out = <uint8_t*>PyBytes_AS_STRING(frame)
    out[0] = <uint8_t>(opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0))
    if head == 2:
        out[1] = <uint8_t>(0x80 | size)
    else:
        out[1] = 0xFE if head == 4 else 0xFF
        for i in range(head - 2):
            out[head - 1 - i] = <uint8_t>(<uint64_t>size >> (8 * i))
    memcpy(out + head, PyBytes_AS_STRING(mask), 4)
    mask_bytes(out + head + 4, <const uint8_t*>PyBytes_AS_STRING(payload), <size_t>size,
               <const uint8_t*>PyBytes_AS_STRING(mask))
    return frame
