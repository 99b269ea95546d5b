"""The errors of this program, each with an owner who can mend it.

::

    PaymentWatcherError
    ├── ConfigurationError      the operator's: the settings cannot be used; every fault at once
    ├── Occupied                the operator's: another process holds the inbox or the journal
    ├── DocumentError           the file's: it cannot be read as a payment document
    ├── Rejection               the record's: ConnectWise refused this one, in its own words
    │   └── Missing             ... because the invoice or payment is not there (any more)
    ├── AnswerLost              nobody's: a POST may or may not have been carried out; read back before anything else
    │   └── Contradicted        ... since the answer shows something else than was sent
    ├── Outage                  the line waits; nothing fails for it
    │   ├── Unreachable         nobody's: ConnectWise cannot be reached or is in trouble
    │   │   └── Slowed          ... since it has answered nothing but 429 for a minute
    │   ├── SignInRefused       the operator's: keys, role, site or codebase are wrong
    │   ├── FolderTrouble       the operator's: a folder is missing, full, read-only or not the one it was
    │   │   ├── FileTrouble     ... one file cannot be read or published now; only that file waits
    │   │   │   └── NameTaken   ... since something else has a result's name
    │   │   └── InboxHeld       ... another process took the inbox while the daemon ran
    │   └── JournalTrouble      the operator's: the journal's disk is full, read-only or failing
    └── Stopping                nobody's: the program was asked to end while it waited

An expected result ("rejected, because …") is a value in ``payments``, not an exception.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Scope(StrEnum):
    """How much a failed call says.

    Attributes:
        LINE: it is about every call. The whole line waits.
        LOST: an answer about one record never came, or a gateway gave up in ConnectWise's place. That record waits,
            and is never rejected for it.
        ODD: an answer about one record is not understood. It waits as well.
        REFUSED: a call about one record was refused (500, 403, a page in the API's place). If other calls succeed
            meanwhile, that is the record's fault.
    """

    LINE = "line"
    LOST = "lost"
    ODD = "odd"
    REFUSED = "refused"

    @property
    def never_rejects(self) -> bool:
        """True if it can never be the record's fault."""
        return self in (Scope.LOST, Scope.ODD)

    @property
    def is_no_answer(self) -> bool:
        """True if ConnectWise itself said nothing."""
        return self in (Scope.LINE, Scope.LOST)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A payment that ConnectWise does not take.

    Attributes:
        claim_id: the claim of its file.
        invoice_number: the number as the file writes it.
        line: its line in the file, from 1; 0 if it is not known.
        file: the file's name; empty if there is none.
    """

    claim_id: str
    invoice_number: str
    line: int
    file: str = ""

    def __str__(self) -> str:
        places = [f"line {self.line}"] * bool(self.line) + [f"of {self.file}"] * bool(self.file)
        return f"invoice {self.invoice_number}" + (f" ({' '.join(places).removeprefix('of ')})" if places else "")


class PaymentWatcherError(Exception):
    """Base of every error this program raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration or the installation.

    Attributes:
        key: the setting (``connectwise.site``), folder or file it is about.
        problem: what is wrong, in words.
        mend: what to do about it.
    """

    key: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}. {self.mend}"


class ConfigurationError(PaymentWatcherError):
    """The settings cannot be used; carries every fault found, not just the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class Occupied(PaymentWatcherError):
    """Another process holds what this one needs for itself alone."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"{path} is held by another payment-watcher ({holder or 'it left no name'}). "
            "Two of them must not work on one inbox or journal: stop that one first."
        )


class DocumentError(PaymentWatcherError):
    """A file cannot be read as a payment document.

    Attributes:
        problem: what is wrong, in a bookkeeper's words.
        line: the line in the file, from 1, where it was noticed; None where there is none.
    """

    def __init__(self, problem: str, line: int | None = None, *, unit: str = "line") -> None:
        """Say what is wrong, and where.

        Args:
            problem: what is wrong, in a bookkeeper's words.
            line: the line in the file, from 1; None where there is none.
            unit: what a line of such a file is called.
        """
        super().__init__(f"{unit} {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line


class ConnectWiseError(PaymentWatcherError):
    """A call to ConnectWise did not give what was asked.

    Attributes:
        request_id: ConnectWise's ``x-cw-request-id``, which its support asks for; None where no answer came.
        scope: how much it says.
    """

    scope = Scope.LINE

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class Rejection(ConnectWiseError):
    """ConnectWise refused this one record; the message holds its words."""


class Missing(Rejection):
    """The invoice or the payment is not there."""


class AnswerLost(ConnectWiseError):
    """A write was sent and its answer never came or could not be trusted: its effect is unknown.

    Attributes:
        payment_id: ConnectWise's id of the row it made, where the answer said that much.
    """

    scope = Scope.ODD

    def __init__(self, message: str, request_id: str | None = None, payment_id: int | None = None) -> None:
        super().__init__(message, request_id)
        self.payment_id = payment_id

    @property
    def was_answered(self) -> bool:
        """True if an answer came, and says something else than was expected. That is about the one record."""
        return self.scope is Scope.ODD


class Contradicted(AnswerLost):
    """A write was answered well, but the answer, or a list after it, shows something else than was sent."""

    scope = Scope.ODD


class Outage(PaymentWatcherError):
    """Something outside holds up the whole line; everything waits and nothing fails.

    Attributes:
        mend: what a person can do about it.
        request_id: ConnectWise's request id where there is one.
        scope: how much it says.
        stuck: the payments that met it, if it was said about single ones.
        waiting: what waits for its end otherwise, in words; empty if that is not known.
        others_go_on: True if files that come in meanwhile are worked on.
    """

    scope = Scope.LINE
    others_go_on = False

    def __init__(self, message: str, mend: str, request_id: str | None = None) -> None:
        # Without the full stop that ConnectWise's sentences end in: the mend follows.
        super().__init__(message.rstrip("."))
        self.mend = mend
        self.request_id = request_id
        self.stuck: tuple[Stuck, ...] = ()
        self.waiting = ""

    def __str__(self) -> str:
        if not self.stuck:
            return super().__str__() + (f"; this holds up {self.waiting}" if self.waiting else "")
        more = f" and {len(self.stuck) - 1:,} more" if len(self.stuck) > 1 else ""
        return f"{super().__str__()}; this holds up {self.stuck[0]}{more}"


class Unreachable(Outage):
    """ConnectWise cannot be reached, or its own trouble keeps it from answering."""

    def __init__(self, message: str, request_id: str | None = None) -> None:
        mend = "Nothing is lost while ConnectWise or the network is down"
        super().__init__(message, mend, request_id)


class Slowed(Unreachable):
    """ConnectWise has answered nothing but 429 for a while: something else uses up what it allows."""


class SignInRefused(Outage):
    """ConnectWise answers, but not to these keys, this role, this site or this codebase."""


_RIGHTS = "Give the service's user the right to create, rename and delete files there"
_NO_LINK = "No link is followed: name the folder itself, or move away what is in its place"
_MENDS = {
    errno.ENOENT: "Make it, or mount the share it is on",
    errno.ENOSPC: "Make room on that disk",
    errno.EDQUOT: "Raise the quota or make room",
    errno.EROFS: "Mount it for writing",
    errno.EXDEV: "inbox and work must be on one mount; under systemd, run systemd/install.sh again after moving them",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ELOOP: _NO_LINK,
    errno.ENOTDIR: _NO_LINK,
}


# A person has to mend these. Every other trouble may pass by itself.
_LASTING = frozenset(_MENDS) - {errno.ENOSPC, errno.EDQUOT}


class FolderTrouble(Outage):
    """A folder is missing, full, read-only, or not the one it was.

    Attributes:
        passes: True if it may pass without anybody's doing, such as a disk that fails for a moment.
    """

    passes = False

    @classmethod
    def at(cls, place: Path, error: OSError) -> FolderTrouble:
        """Name a place and what the system said about it, with what to do (errno(3)).

        Args:
            place: the folder or file.
            error: what the system said. Of a file that cannot be made since its folder is gone, that one is named.
        """
        number = error.errno or 0
        if number == errno.ENOENT and place.name.endswith(".tmp"):
            # A file that is written aside: what is missing is its folder.
            place = place.parent
        mend = _MENDS.get(number, "Check the disk or the share; the work goes on by itself once it is back")
        no_folder = number in (errno.ELOOP, errno.ENOTDIR)
        trouble = cls(f"{place}: {'A link or a file is in its place' if no_folder else os.strerror(number)}", mend)
        trouble.passes = number not in _LASTING
        return trouble


class FileTrouble(FolderTrouble):
    """One file cannot be read or published now. Only that file has to wait."""


class NameTaken(FileTrouble):
    """Something else has the name of a file that is to be written. Nothing is overwritten.

    Attributes:
        path: the name.
    """

    def __init__(self, path: Path, reason: str, kind: str = "file") -> None:
        """Say what has the name.

        Args:
            path: the name.
            reason: what is wrong, beginning with "is".
            kind: what has the name, in a word or two.
        """
        super().__init__(
            f"{path} {reason}, and nothing is overwritten",
            f"Move that {kind} somewhere else; the work goes on by itself",
        )
        self.path = path


class InboxHeld(FolderTrouble):
    """Another process took the inbox's lock while the daemon ran."""

    @classmethod
    def by(cls, occupied: Occupied) -> InboxHeld:
        """Return the outage that takes the place of ``Occupied`` once the daemon has started."""
        return cls(str(occupied), "The work goes on by itself once the other one has ended")


class JournalTrouble(Outage):
    """The journal's disk is full, read-only or failing."""


class Stopping(PaymentWatcherError):
    """The program was asked to end while it waited for something."""
