"""ChannelKey, compiled: the walk itself is C (keys.h); here its tables are laid out and its answers become text.

The tables lie in bytes and bytearray objects that the ChannelKey holds, so no failure half way can leak or dangle.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from jetsocket.hot.key_grammar import NOT_PARSED, is_plain, lead_of, plan_of


def simd_level() -> str:
    """The vector instructions that the scanner uses on this machine: avx2, sse2, neon or scalar."""
    return scan_simd_level().decode("ascii")


cdef class ChannelKey:
    """Where the channel stands in a message, and how to read it from the raw bytes.

    `spec` is a path (`stream`, `params.channel`, `data[0].symbol`, `[0]`, `"a.b".c`), alternatives (`a|b`: the first
    that is present), or a template of them (`{arg.channel}:{arg.instId|arg.instFamily}`). ValueError if it is not.

    A string gives its unescaped text, a number its literal text; anything else means that the message has no channel.
    Of two equal names the first one wins. The message is read as far as needed and no farther, and nested values that
    no path leads through are only checked for strings and the balance of brackets, so not every fault of a message
    that is invalid JSON is noticed.
    """

    def __cinit__(self, spec):
        plan = plan_of(spec)
        self._spec = str(spec)
        self._memory = []
        self._plan.scratch = NULL
        self._plan.parts = <key_part*>self._zeroed(<size_t>len(plan.parts) * sizeof(key_part))
        self._plan.n_parts = <size_t>len(plan.parts)
        for i, part in enumerate(plan.parts):
            self._plan.parts[i].text = self._kept(part.text)
            self._plan.parts[i].length = <size_t>len(part.text)
            self._plan.parts[i].alternatives = part.alternatives
        self._plan.tail = self._kept(plan.tail)
        self._plan.tail_length = <size_t>len(plan.tail)
        self._plan.paths = plan.mask
        self._plan.simple = all(part.count == 1 for part in plan.parts)
        self._plan.bare = plan.bare
        self._plan.root = self._node(plan.root)
        lead = lead_of(plan)
        if len(lead) <= KEY_LEAD:
            self._plan.lead_length = <size_t>len(lead)
            memcpy(self._plan.lead, PyBytes_AS_STRING(lead), <size_t>len(lead))
        self._plan.skip = scan_skip_for_this_machine()
        self.plan = &self._plan

    def __dealloc__(self):
        free(self._plan.scratch)

    @property
    def spec(self) -> str:
        return self._spec

    def __repr__(self) -> str:
        return f"ChannelKey({self._spec!r})"

    def __reduce__(self):
        return (ChannelKey, (self._spec,))

    def find(self, bytes payload not None):
        """The channel of a message, None if it has none."""
        cdef const char* key = NULL
        cdef Py_ssize_t length
        with cython.critical_section(self):  # the plan's scratch memory is shared where threads run freely
            length = key_locate(&self._plan, PyBytes_AS_STRING(payload), <size_t>PyBytes_GET_SIZE(payload), &key)
            return None if length < 0 else PyUnicode_DecodeUTF8(key, length, "surrogatepass")

    def find_parsed(self, bytes payload not None):
        """The channel, and NOT_PARSED: the compiled twin never has to parse a message."""
        return self.find(payload), NOT_PARSED

    cdef Py_ssize_t locate(self, const char* data, size_t length, const char** key) noexcept nogil:
        """Cannot fail; see key_locate."""
        return key_locate(&self._plan, data, length, key)

    cdef void* _zeroed(self, size_t size) except NULL:
        """Memory that lives as long as this object; MemoryError."""
        block = bytearray(size)
        self._memory.append(block)
        return PyByteArray_AS_STRING(block)

    cdef const uint8_t* _kept(self, bytes text) except NULL:
        """The bytes of a text, and KEY_COPY_SLACK more, for as long as this object lives; MemoryError."""
        cdef bytes padded = text + bytes(KEY_COPY_SLACK)
        self._memory.append(padded)
        return <const uint8_t*>PyBytes_AS_STRING(padded)

    cdef key_node* _node(self, object node) except NULL:
        """The C form of a KeyNode and of all below it (64 levels at most); MemoryError."""
        cdef key_node* made = <key_node*>self._zeroed(sizeof(key_node))
        cdef key_name* name
        cdef size_t i
        made.leaf = node.leaf
        made.named = node.named
        made.indexed = node.indexed
        made.paths = node.paths
        made.n_names = <size_t>len(node.names)
        made.names = <key_name*>self._zeroed(made.n_names * sizeof(key_name))
        for i, (text, child) in enumerate(node.names.items()):
            name = &made.names[i]
            name.text = self._kept(text)
            name.length = <size_t>len(text)
            name.plain = is_plain(text)
            head = (text + b'"')[:16]
            memcpy(name.word, PyBytes_AS_STRING(head), <size_t>len(head))
            memset(name.mask, 0xFF, <size_t>len(head))
            name.child = self._node(child)
        made.n_indices = <size_t>len(node.indices)
        made.indices = <key_index*>self._zeroed(made.n_indices * sizeof(key_index))
        for i, (index, child) in enumerate(sorted(node.indices.items(), key=lambda item: item[0])):
            made.indices[i].index = index
            made.indices[i].child = self._node(child)
        return made
