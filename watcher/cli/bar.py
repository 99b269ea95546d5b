"""The progress bar of ``apply``, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from watcher.actions.apply import Applied
from watcher.cli.console import err


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return payments a second."""
        return Text(f"{task.finished_speed or task.speed or 0:.1f}/s")


def shown(advances: Iterable[Applied]) -> Iterator[Applied]:
    """Pass on how far a document is, and show it as a bar with a rate and the time left."""
    columns = (
        TextColumn("Payments"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(), TextColumn("left")
    )  # fmt: skip
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("payments", total=None)
        for applied in advances:
            progress.update(task, total=len(applied.results), completed=len(applied.known))
            yield applied
