"""The program: ``python -m watcher`` is ``payment-watcher``."""

from __future__ import annotations

import sys
from typing import NoReturn

from watcher.cli.commands import main
from watcher.lifetime import leave


def run() -> NoReturn:
    """Run the command line and end the process at once."""
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (the hook logs whatever it is; the interpreter would do the same)
        sys.excepthook(*sys.exc_info())
    finally:
        leave(code)


if __name__ == "__main__":
    run()
