# cython: language_level=3
"""The consuming side of a queue for many channels. The Python twin is `group_stream_py.py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t

from .group_c cimport GroupRing
from .ring_c cimport MessageRing
from .stream_c cimport MessageStream
from .taking_c cimport AS_BYTES, CALL, TAGGED, Message

from .stream_py import undecodable

cdef extern from *:
    """
    /* For Cython, which then sees the exception that is set. */
    static int group_raise(void) { return -1; }
    """
    int group_raise() except -1
    PyObject* PyObject_CallOneArg(object called, object argument) noexcept


cdef class GroupMessage(Message):
    """One message of a group, and its `channel`."""

    cdef readonly object channel

    def __init__(self, bytes data not None, bint binary, int64_t received_ns, GroupStream stream not None, channel):
        self.data = data
        self.is_binary = binary
        self.received_ns = received_ns
        self.stream = stream
        self.channel = channel

    def decode(self):
        """The message as plain iteration would have given it beside its channel. Raises DecodeError."""
        if self.stream is None:
            raise TypeError("a Message of no stream cannot be decoded")
        return (<GroupStream>self.stream).decoded_of(self.channel, self.data)


cdef class GroupStream(MessageStream):
    """The consuming side of a GroupRing: a MessageStream, but that it gives `(channel, what was decoded)`.

    `messages()` gives each Message with its channel, a GroupMessage. A DecodeError names the message's channel.

    What stands for losses is made by `make(kind, count, since_ns, until_ns, channel)`: of a break in the numbers of a
    channel that is known, the one that the next message belongs to; None of an overflow.
    """

    cdef GroupRing group
    # As `how` of a plain stream.
    cdef int way

    def __cinit__(self, MessageRing ring not None, decode not None, name=None, *, json=False):
        if not isinstance(ring, GroupRing):
            raise TypeError(f"ring must be a GroupRing, got {type(ring).__name__}")
        self.group = ring
        self.way = self.how
        self.how = TAGGED

    def decode_payload(self, bytes payload not None, channel=None):
        """`payload`, of a message of `channel`, in the type that this stream delivers. Raises DecodeError."""
        return self.decoded_of(channel, payload)

    cdef object tagged(self, bytes payload):
        # Before the decoder, which is foreign code, may take from the ring.
        channel = self.group.channel
        return channel, self.decoded_of(channel, payload)

    cdef object take_message(self):
        cdef GroupMessage message
        taken = MessageStream.take_message(self)
        if type(taken) is not Message:
            return taken
        message = GroupMessage.__new__(GroupMessage)
        message.data = (<Message>taken).data
        message.is_binary = (<Message>taken).is_binary
        message.received_ns = (<Message>taken).received_ns
        message.stream = self
        message.channel = self.group.channel
        return message

    cdef object decoded_of(self, channel, bytes payload):
        cdef PyObject* found
        if self.way == AS_BYTES:
            return payload
        if self.way == CALL:
            found = PyObject_CallOneArg(self._decode, payload)
            if found != NULL:
                item = <object>found
                Py_DECREF(item)
                return item
        try:
            if self.way == CALL:
                group_raise()
            return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), NULL)
        except Exception as error:
            raise undecodable(error, payload, self.name if channel is None else channel) from error
