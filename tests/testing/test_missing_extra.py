from __future__ import annotations

import subprocess
import sys

WITHOUT_PICOWS = """
import sys
sys.modules["picows"] = None
try:
    import jetsocket.testing
except ImportError as error:
    print(type(error).__name__, error.extra, error)
"""


def test_without_picows_the_pip_command_is_told() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT_PICOWS], capture_output=True, text=True, check=True).stdout
    assert said.startswith("MissingExtraError testing ")
    assert "pip install 'jetsocket[testing]'" in said
