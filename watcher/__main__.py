"""``python -m watcher`` is ``payment-watcher``."""

from watcher.cli import main

main()
