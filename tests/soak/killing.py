"""Kills the installed program from outside, at every system call that changes something, and cuts its power there.

For each scene ``payment-watcher run --once`` is run once under strace, which lists the calls that change a file, a
folder or ConnectWise: the kill points. Then, for each of them, it is run in a folder and with books of its own, killed
on entering that call, and started again; with ``--recovery-kills K`` the recovery of every K-th is killed, too, once
or twice, somewhere at random. In the end the laws of ``scenes`` hold, the books and published files are those of a run
that nobody killed, and the journal knows every file as finished.

strace counts the calls of each kind and of each thread by itself, and so does a kill point: ``fsync:3`` is where a
thread first comes to its third fsync. A call is killed on entering: what comes before it is done, it is not. Of the
calls that open files only those count that may create one.

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
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from rich.console import Console
from soak.disks import disks, no_power_cut
from soak.places import OPENING, Point, Stage, folder, no_strace
from support.scenes import MIXED, SINGLE, THREE, UNUSABLE, Scene

# Each with the number of its workers: with one, every call to ConnectWise is a kill point; with more, they overlap.
SCENES = {"single": (SINGLE, 1), "mixed": (MIXED, 1), "unusable": (UNUSABLE, 1), "three": (THREE, 4)}


@dataclass(frozen=True)
class Attempt:
    """What killing at a point came to.

    Attributes:
        point: the point.
        killed: how many runs were killed, the first and recoveries.
        runs: how many runs there were.
        reached: the first run came to the point.
        broken: what was not as it should be.
    """

    point: Point
    killed: int
    runs: int
    reached: bool
    broken: list[str]


class Killing:
    """Kills one scene's runs.

    Attributes:
        points: where, in order of time.
    """

    def __init__(self, scene: Scene, workers: int, stage: Stage) -> None:
        self._scene = scene
        self._workers = workers
        self._stage = stage
        with stage(scene, workers) as place:
            self.points = place.count()
            self._expected = place.outcome()
            if broken := list(place.broken(self._expected)):
                raise RuntimeError("\n".join(["an untouched run broke the laws", *broken]))

    def attempt(self, point: Point, *, again: bool = False) -> Attempt:
        """Kill at a point, perhaps the recovery somewhere else, too, and start again; then all must have been done.

        The power is cut at the last kill, and at earlier ones as chance has it: what a recovery found may have got no
        further than the system's memory before.
        """
        chance = random.Random(f"{sorted(self._scene.files)} {point.call} {point.number}")
        points = [point, *(chance.choices(self.points, k=chance.choice((1, 2))) if again else ())]
        with self._stage(self._scene, self._workers) as place:
            ends = []
            for kill in points:
                ends.append(place.run(kill))
                if kill is points[-1] or chance.random() < 0.5:
                    place.cut()
            ends.append(place.run())
            broken = [fault for end in ends for fault in end.faults]
            try:
                broken += place.broken(self._expected)
            except Exception as error:  # noqa: BLE001  (half a file can break whatever reads it)
                broken.append(f"what is there cannot be read: {error!r}")
        if broken and again:
            broken.append("the recovery was to be killed at " + ", then ".join(map(str, points[1:])))
        return Attempt(point, sum(end.killed for end in ends), len(ends), ends[0].killed, broken)

    def beyond(self, call: str) -> list[Attempt]:
        """Kill at the calls of a kind that come after those of the counted run, until a run comes to its end."""
        attempts: list[Attempt] = []
        number = max(point.number for point in self.points if point.call == call)
        while not attempts or attempts[-1].reached:
            number += 1
            attempts.append(self.attempt(Point(call, number)))
        return attempts


def kill(name: str, stage: Stage, title: str, options: argparse.Namespace, console: Console) -> bool:
    """Kill one scene at all its points; tell what it came to, and whether all was well."""
    began = time.monotonic()
    killing = Killing(*SCENES[name], stage)
    chosen = killing.points[:: options.every]
    calls = sorted({point.call for point in killing.points} - {*OPENING})
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
                        console.print(f"FAILED {name}, {title}, killed at {attempt.point}")
                        for fault in attempt.broken:
                            console.print(f"    {fault}")
        except BaseException:
            # What is under way takes its folders and disks down; nothing else is begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    missed = sum(attempt.point in chosen and not attempt.reached for attempt in attempts)
    failed = sum(bool(attempt.broken) for attempt in attempts)
    console.print(
        f"{name}, {title}: {len(chosen)} of {len(killing.points)} kill points, {missed} of them not reached, "
        f"{sum(attempt.runs for attempt in attempts)} runs, {sum(attempt.killed for attempt in attempts)} killed, "
        f"{failed} failed, {time.monotonic() - began:.0f} s"
    )
    # Threads differ from run to run in how they share their work, and in nothing else.
    if missed > len(chosen) / 10:
        console.print(f"FAILED {name}, {title}: strace did not kill where it was told to")
        return False
    return not failed


def main() -> int:
    """Run what the command line asks for; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one; may be repeated")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th kill point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at once")
    parser.add_argument(
        "--recovery-kills",
        type=int,
        default=3,
        metavar="K",
        help="kill the recovery, too, at each K-th point; 0: never",
    )
    parser.add_argument("--power-cut", action="store_true", help="cut the power instead of killing only")
    parser.add_argument("--at", metavar="CALL:NUMBER", help="only this kill point")
    options = parser.parse_args()
    # Asked to end, it takes everything down first.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    console = Console(soft_wrap=True, highlight=False, markup=False)
    stages: dict[str, Stage] = {"killed": folder}
    reason = no_strace()
    if options.power_cut:
        stages = {"power cut, on one disk": disks(apart=False), "power cut, on several disks": disks(apart=True)}
        reason = reason or no_power_cut()
    if reason:
        console.print(f"skipped: {reason}")
        return 0
    fine = [
        kill(name, stage, title, options, console)
        for name in options.scene or SCENES
        for title, stage in stages.items()
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
