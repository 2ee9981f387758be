"""No memory for one channel more: an error, and the router goes on with those that it has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# The table is doubled with channel 65537: to 262,144 slots of 32 bytes, and half as many pointers of 8.
FULL = 65_536
ADDING = """
import resource
from jetsocket.hot.keys_{twin} import ChannelKey
from jetsocket.hot.ring_{twin} import MessageRing
from jetsocket.hot.router_{twin} import Router

ring = MessageRing()
router = Router(ChannelKey("c"))
names = [f"n{{number}}" for number in range({full} + 1)]
for name in names[:{full}]:
    router.add(name, ring)
with open("/proc/self/statm") as statm:
    taken = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {left}, resource.RLIM_INFINITY))
try:
    router.add(names[-1], ring)
except MemoryError as error:
    text = str(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(text, router.remove(names[-1]))
for name in (names[0], names[-2], names[-1]):
    router.accept(b'{{"c":"%b"}}' % name.encode(), False, 1)
print(router.routed, router.unroutable, len(ring))
router.add(names[-1], ring)
router.accept(b'{{"c":"%b"}}' % names[-1].encode(), False, 1)
print(router.routed)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it knows how glibc on Linux takes memory")
@pytest.mark.parametrize("left", [2 << 20, (8 << 20) + (256 << 10)], ids=["for the slots", "for the wake-ups"])
def test_no_memory_for_one_channel_more(left: int) -> None:
    script = ADDING.format(twin="c", full=FULL, left=left)
    # Each large block by itself, and given back when it is freed: else an old one may take in what is asked for.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["no memory for a table of 262144 channels False", "2 1 2", "3"]
