"""A batch of claimed files, from bytes to published results: opened, asked of ConnectWise, written down, published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from watcher.claim import Claim
from watcher.errors import Outage, SignInRefused, Unreachable
from watcher.payments.demands import demands_of, lacks_number
from watcher.payments.model import Demand, DemandId, Intent, Rules, listed
from watcher.payments.outcomes import Result
from watcher.plain import plain
from watcher.processing.audit import Audit
from watcher.processing.claimed import Asking, Decided, Tally, Unnumbered
from watcher.processing.left import Left
from watcher.processing.memory import Memory
from watcher.processing.news import Outcomes, Planned
from watcher.processing.opening import Opener
from watcher.processing.publishing import Publisher
from watcher.processing.rounds import Rounds
from watcher.processing.telling import log_payment

# If more files than these are being published, folders are slower than ConnectWise.
_MANY = 200
# So many results are written down at once. Each piece is a sign of life.
_AT_ONCE = 1000


class _OpenFiles:
    """The files of a batch that are not published yet, in the order of claiming."""

    def __init__(self, files: Iterable[Asking]) -> None:
        self._files = {file.claim.id: file for file in files}
        self._undecided = {
            file.claim.id: len(file.records) - len(file.outcomes)
            for file in self._files.values()
            if file.refusal is None
        }

    def demands(self, rules: Rules) -> tuple[list[Demand], list[tuple[str, Result]]]:
        """Return what the files demand without an outcome yet, and the results of records rejected before any call.

        The records are let go of: of a large file they take much memory.
        """
        wanted: list[Demand] = []
        rejected: list[tuple[str, Result]] = []
        for file in list(self._files.values()):
            # Where payments are added up, each record stands alone; a group does not change by what is decided.
            known = [one for one in file.records if not lacks_number(one)]
            records = [one for one in known if one.position not in file.outcomes] if file.adds else known
            demands, results = demands_of(file.claim.id, records, replace(rules, add_up=file.adds))
            self._files[file.claim.id] = replace(file, records=())
            wanted += [demand for demand in demands if demand.parts[0].position not in file.outcomes]
            rejected += [(file.claim.id, result) for result in results if result.position not in file.outcomes]
        return wanted, rejected

    def intents(self) -> dict[DemandId, Intent]:
        """Return the calls that were planned for the files' records and may have been made."""
        return {
            (file.claim.id, position): intent
            for file in self._files.values()
            for position, intent in file.intents.items()
        }

    def __contains__(self, claim_id: str) -> bool:
        """True if a file is one of them."""
        return claim_id in self._files

    def claim(self, claim_id: str) -> Claim:
        """Return the claim of a file by its id."""
        return self._files[claim_id].claim

    def take(self, results: Sequence[tuple[str, Result]]) -> None:
        """Take results that are written down."""
        for claim_id, _ in results:
            self._undecided[claim_id] -= 1

    def in_words(self) -> str:
        """Return which payments have no outcome yet, in words."""
        waiting = {claim_id: count for claim_id, count in self._undecided.items() if count}
        payments = sum(waiting.values())
        names = [plain(self._files[claim_id].claim.name) for claim_id in waiting]
        return f"{payments:,} payment{'' if payments == 1 else 's'} of {listed(names)}"

    def complete(self) -> Iterator[Asking]:
        """Yield, and forget, the files all of whose records have an outcome."""
        for claim_id in [each for each in self._files if not self._undecided.get(each)]:
            yield self._files.pop(claim_id)


class Batches:
    """Takes claimed files to their end."""

    def __init__(
        self, opener: Opener, rounds: Rounds, audit: Audit, publisher: Publisher, memory: Memory, rules: Rules
    ) -> None:
        self._opener = opener
        self._rounds = rounds
        self._audit = audit
        self._publisher = publisher
        self._memory = memory
        self._rules = rules
        # Of the claims that were left.
        self._names: dict[str, str] = {}

    def check(self) -> None:
        """Make sure that the folders are there, before a file is claimed.

        Raises:
            FolderTrouble: one is missing.
        """
        self._publisher.check()

    def process(self, claims: Sequence[Claim]) -> Iterator[Tally]:
        """Take a batch of claimed files to its end; each is published as soon as all its records have an outcome.

        Args:
            claims: in the order of claiming.

        Yields:
            Whenever the work has advanced, what it came to since the last time. Files are published while the work goes
            on; ``settle`` waits for the last of them. ``tidy`` goes on with files that cannot be published now.

        Raises:
            Outage: payments have to wait; call again with what is still claimed.
            Stopping: the program ends.
            ConfigurationError: the journal cannot be used.
        """
        self.left.take_up([claim.id for claim in claims])
        opened, unnumbered = self._opener.open(claims)
        self._rounds.leave_unnumbered(unnumbered)
        files = _OpenFiles(opened)
        demands, rejected = files.demands(self._rules)
        for start in range(0, max(1, len(rejected)), _AT_ONCE):
            yield from self._record(files, Outcomes(rejected[start : start + _AT_ONCE]))
        with closing(self._rounds.run(demands, files.intents(), self._audit.in_doubt(), stay=False)) as rounds:
            # Whoever is done with a demand lets go of it: a large file's take much memory.
            del demands, rejected
            try:
                for news in rounds:
                    match news:
                        case Planned(intents):
                            # On disk before a call is made.
                            self._memory.intend(intents)
                        case Outcomes():
                            yield from self._record(files, news)
            except Outage as outage:
                outage.stuck = tuple(replace(each, file=files.claim(each.claim_id).name) for each in outage.stuck)
                if isinstance(outage, Unreachable | SignInRefused):
                    outage.waiting = files.in_words()
                raise
        self._tell_of_left(files, unnumbered)

    def nothing_follows(self) -> None:
        """Take in that no file will come after those that are there now."""
        self._rounds.nothing_follows()

    def settle(self) -> Tally:
        """Wait until all that is decided is published; return what it came to since the last time.

        Raises:
            FolderTrouble: a folder cannot be used.
            Stopping: the program ends.
        """
        return _tally(self._publisher.settle())

    @property
    def is_behind(self) -> bool:
        """True if so many files are being published that no more should be taken: what they hold takes memory."""
        return self._publisher.under_way > _MANY

    def is_open(self, claim: Claim) -> bool:
        """Return True if a claim that was processed has not come to its end."""
        return claim.id in self.left.claims or claim in self._publisher.busy

    @property
    def left(self) -> Left:
        """The claims that were left for a while, so that others can go on."""
        return self._rounds.left

    @property
    def cause(self) -> Outage | None:
        """The trouble of claims that were left that may be about all payments; None if there is none."""
        cause = self.left.cause
        if cause is not None:
            cause.stuck = tuple(replace(each, file=self._names.get(each.claim_id, "")) for each in cause.stuck)
        return cause

    def keep_only(self, claim_ids: Sequence[str]) -> None:
        """Forget what is known of claims other than these: nothing is left of them."""
        self.left.keep_only(claim_ids)
        self._names = {claim_id: name for claim_id, name in self._names.items() if claim_id in claim_ids}

    def _tell_of_left(self, files: _OpenFiles, unnumbered: Mapping[str, Unnumbered]) -> None:
        """Tell of the files that wait for a payment that ConnectWise does not take, while it takes others."""
        cause = self.left.cause
        for claim_id, left in self.left.claims.items():
            if claim_id in files:
                claim = files.claim(claim_id)
                self._names[claim_id] = claim.name
                if left.reason and (cause is None or claim_id in unnumbered):
                    self._publisher.waiting.hold_up(claim, left.reason, left.mend)

    def audit(self) -> None:
        """Look once more at the invoices of calls that got no answer, when they are due.

        Raises:
            Outage: ConnectWise cannot be asked.
            Stopping: the program ends.
        """
        self._audit.run()

    def tidy(self) -> Tally:
        """Do again what could not be done so far for single files: publish them, and delete their originals.

        Returns:
            What the files that are published now came to.

        Raises:
            FolderTrouble: that is possible for no file.
        """
        return _tally(self._publisher.tidy())

    def _record(self, files: _OpenFiles, known: Outcomes) -> Iterator[Tally]:
        """Write down outcomes, log them, and publish the files that are complete now."""
        if known.results:
            results = self._memory.record(known)
            for claim_id, result in results:
                log_payment(files.claim(claim_id), result)
            files.take(results)
        if complete := list(files.complete()):
            self._publisher.begin(self._publisher.decide(complete))
        # A file that cannot be published now waits by itself.
        published = self._publisher.published()
        if known.results or published:
            yield _tally(published)


def _tally(files: Iterable[Decided]) -> Tally:
    return sum((file.tally for file in files), Tally())
