from __future__ import annotations

import jetsocket

from .conftest import COMMAND, run


def test_python_dash_m_is_the_command() -> None:
    assert COMMAND[1:] == ["-m", "jetsocket.cli"]
    assert run("--version") == (0, f"jetsocket, version {jetsocket.__version__}\n", "")
    assert run("listn").code == 2
