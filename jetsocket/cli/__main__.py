"""`python -m jetsocket.cli`, for where the `jetsocket` command is not on the path."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
