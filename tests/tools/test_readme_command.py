"""tools/readme_command.py: what CI runs is what README.md shows."""

from __future__ import annotations

import pytest

from tools.readme_command import command

README = """
# Title

<!-- test-command -->
```sh
python -m venv .venv
.venv/bin/python -m pytest
```
<!-- /test-command -->

```sh
something else
```
"""


def test_prints_the_block_between_the_markers() -> None:
    assert command("test-command", README) == "python -m venv .venv\n.venv/bin/python -m pytest\n"


@pytest.mark.parametrize("text", ["", README + README, README.replace("```", "")])
def test_refuses_none_or_several(text: str) -> None:
    with pytest.raises(ValueError, match="one fenced block between <!-- test-command --> markers"):
        command("test-command", text)
