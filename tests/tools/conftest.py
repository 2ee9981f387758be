"""The fuzzers are for systems with fork() and gcc or clang."""

from __future__ import annotations

import sys

collect_ignore_glob = ["test_fuzz*.py"] if sys.platform == "win32" else []
