"""`python -m benchmarks.trials.alone '[MODULE, FUNCTION, [ARGUMENT, ...]]'`: prints what it returns as JSON."""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    module, function, arguments = json.loads(sys.argv[1])
    print(json.dumps(getattr(import_module(module), function)(*arguments)))


if __name__ == "__main__":
    main()
