"""The program: ``python -m watcher`` is ``payment-watcher``."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from watcher.cli import main


def run() -> NoReturn:
    """Run the command line and end the process at once.

    Worker threads that still wait for an answer are not waited for: what they were doing is written down as planned,
    and looked up at the next start. The interpreter's own way out would abort if one of them were writing to the log.
    """
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (the hook logs whatever it is, as the interpreter would have it do)
        sys.excepthook(*sys.exc_info())
    finally:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                # The reader went away, as `head` does; nothing is left to be told.
                code = code or 1
        os._exit(code)


if __name__ == "__main__":
    run()
