"""Strikes the installed program from outside, at every system call that changes something, and cuts its power there.

For each scene of ``scenes`` the program is run once under strace, which lists the calls that change a file, a folder or
ConnectWise: the points. Then, for each of them, it is run in a folder and with books of its own, struck on entering
that call, and started again. A stroke is a kill, a request to end, or a failure of that one call (``--stroke``). With
``--recovery-kills K`` the recovery of every K-th is struck, too, once or twice, somewhere at random. In the end the
laws of ``support.scenes`` hold, the books and published files are those of a run that nothing struck, and the journal
knows every file as finished.

A kill comes on entering: what comes before the call is done, the call is not. Of the calls that open files only those
count that may create one. A request to end is SIGTERM to the program and its children; it must end within five seconds.

With ``--power-cut`` all folders lie on a file system in an image. What the image holds at the moment of the kill,
copied while it is mounted, is what a disk holds after a power cut there; the program is then started on the copy. What
anybody could see in success, fail and archive before must be found there afterwards, the same bytes. Each scene is run
twice: with all on one disk, and with each folder and the journal on one of its own, but for inbox and work. Since ext4
writes changes of folders in order, any sync takes all earlier ones on the same disk with it, and hides that they had
none of their own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from rich.console import Console
from soak.calls import OPENING, Point, Stroke, no_strace
from soak.disks import disks, no_power_cut
from soak.places import Stage, folder
from soak.scenes import BASIC, MORE, SCENES, Staged


@dataclass(frozen=True)
class Attempt:
    """What striking at a point came to.

    Attributes:
        point: the point.
        struck: how many runs were struck, the first and recoveries.
        runs: how many runs there were.
        reached: the point was come to.
        broken: what was not as it should be.
    """

    point: Point
    struck: int
    runs: int
    reached: bool
    broken: list[str]


def attempt(
    staged: Staged,
    stage: Stage,
    points: list[Point],
    stroke: Stroke,
    expected: object | None = None,
    cuts: Callable[[int], bool] = lambda _run: True,
) -> Attempt:
    """Strike at a point, strike the next starts at others, and start again; then all must have been done.

    Args:
        staged: the scene.
        stage: where it is played.
        points: where the first start and those after it are struck.
        stroke: what strikes.
        expected: what an untouched run came to; None if that is not known.
        cuts: whether the power is cut after a run that was struck, by its number from 0.
    """
    with stage(staged) as place:
        ends = []
        for run, point in enumerate(points):
            ends.append(place.strike(point, stroke))
            if cuts(run):
                place.cut()
            place.between()
        reached = ends[int(staged.early)].struck
        ends += place.finish()
        broken = [fault for end in ends for fault in end.faults]
        try:
            broken += place.broken(expected)
        except Exception as error:  # noqa: BLE001  (half a file can break whatever reads it)
            broken.append(f"what is there cannot be read: {error!r}")
    if broken and len(points) > 1:
        broken.append("the runs were to be struck at " + ", then ".join(map(str, points)))
    return Attempt(points[int(staged.early)], sum(end.struck for end in ends), len(ends), reached, broken)


class Killing:
    """Strikes one scene's runs.

    Attributes:
        points: where, in order of time.
    """

    def __init__(self, staged: Staged, stage: Stage, stroke: Stroke = Stroke.KILL) -> None:
        self._staged = staged
        self._stage = stage
        self._stroke = stroke
        with stage(staged) as place:
            self.points = [point for point in place.count() if point.takes(stroke)]
            self._expected = place.outcome()
            if broken := list(place.broken(self._expected)):
                raise RuntimeError("\n".join(["an untouched run broke the laws", *broken]))

    def attempt(self, point: Point, *, again: bool = False) -> Attempt:
        """Strike at a point, and perhaps the recovery somewhere else, too.

        The power is cut at the last stroke, and at earlier ones as chance has it: what a recovery found may have got no
        further than the system's memory before.
        """
        chance = random.Random(f"{sorted(self._staged.scene.files)} {point.call} {point.number}")
        points = [point, *(chance.choices(self.points, k=chance.choice((1, 2))) if again else ())]
        if self._staged.early:
            before = self.points.index(point) if point in self.points else len(self.points)
            points.insert(0, chance.choice(self.points[: before + 1]))
        return attempt(
            self._staged,
            self._stage,
            points,
            self._stroke,
            self._expected,
            lambda run: run == len(points) - 1 or chance.random() < 0.5,
        )

    def beyond(self, call: str) -> list[Attempt]:
        """Strike at the calls of a kind that come after those of the counted run, until a run comes to its end."""
        attempts: list[Attempt] = []
        number = max(point.number for point in self.points if point.call == call)
        while not attempts or attempts[-1].reached:
            number += 1
            attempts.append(self.attempt(Point(call, number)))
        return attempts


def kill(name: str, stage: Stage, title: str, options: argparse.Namespace, console: Console) -> bool:
    """Strike one scene at all its points; tell what it came to, and whether all was well."""
    began = time.monotonic()
    if options.stroke == Stroke.FULL.name and SCENES[name].command == ("run",):
        console.print(f"{name}, {title}: left out, since a daemon waits for ever there")
        return True
    killing = Killing(SCENES[name], stage, Stroke[options.stroke])
    # A sample takes other points every time. One that fails is named, and can be tried again with ``--at``.
    chosen = killing.points[random.randrange(min(options.every, len(killing.points))) :: options.every]
    # A sample does not go beyond the end of what it was taken of.
    calls = sorted({point.call for point in killing.points} - {*OPENING}) if options.every == 1 else []
    if options.at:
        call, _, number = options.at.partition(":")
        chosen, calls = [Point(call, int(number))], []
    attempts: list[Attempt] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting: list[Future[list[Attempt]]] = []
        for order, point in enumerate(chosen):
            again = bool(options.recovery_kills) and order % options.recovery_kills == 0
            waiting.append(pool.submit(lambda point, again: [killing.attempt(point, again=again)], point, again))
        waiting += [pool.submit(killing.beyond, call) for call in calls]
        try:
            for done in as_completed(waiting):
                attempts += done.result()
                for attempt in done.result():
                    if attempt.broken:
                        console.print(f"FAILED {name}, {title} at {attempt.point}")
                        for fault in attempt.broken:
                            console.print(f"    {fault}")
        except BaseException:
            # What is under way takes its folders and disks down; nothing else is begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    missed = sum(attempt.point in chosen and not attempt.reached for attempt in attempts)
    # A journal that comes back sends the program another way.
    tolerated = len(chosen) if SCENES[name].early else len(chosen) / 10 + 1
    failed = sum(bool(attempt.broken) for attempt in attempts)
    console.print(
        f"{name}, {title}: {len(chosen)} of {len(killing.points)} points, {missed} of them not reached, "
        f"{sum(attempt.runs for attempt in attempts)} runs, {sum(attempt.struck for attempt in attempts)} struck, "
        f"{failed} failed, {time.monotonic() - began:.0f} s"
    )
    # Threads differ from run to run in how they share their work, and in nothing else.
    if missed > tolerated:
        console.print(f"FAILED {name}, {title}: strace did not strike where it was told to")
        return False
    return not failed


def main() -> int:
    """Run what the command line asks for; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one; may be repeated")
    parser.add_argument("--basic", action="store_true", help="only the basic scenes")
    parser.add_argument("--more", action="store_true", help="only the scenes that are not basic")
    parser.add_argument("--stroke", choices=Stroke.__members__, default="KILL", help="what strikes")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at once")
    parser.add_argument(
        "--recovery-kills",
        type=int,
        default=3,
        metavar="K",
        help="strike the recovery, too, at each K-th point; 0: never",
    )
    parser.add_argument("--power-cut", action="store_true", help="cut the power instead of killing only")
    parser.add_argument("--at", metavar="CALL:NUMBER", help="only this point")
    options = parser.parse_args()
    # Asked to end, it takes everything down first.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    console = Console(soft_wrap=True, highlight=False, markup=False)
    stages: dict[str, Stage] = {options.stroke: folder}
    reason = no_strace()
    if options.power_cut:
        stages = {"power cut, on one disk": disks(apart=False), "power cut, on several disks": disks(apart=True)}
        reason = reason or no_power_cut()
    if reason:
        console.print(f"skipped: {reason}")
        return 0
    fine = [
        kill(name, stage, title, options, console)
        for name in options.scene or (BASIC if options.basic else MORE if options.more else SCENES)
        for title, stage in stages.items()
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
