"""An embedded stand-in for the ConnectWise PSA REST API, for trying things out and for tests.

It serves the invoices and payments of the finance module over real HTTP, is as strict as the published rules
allow, and keeps a journal of every write, shown at ``/books``. Only HTTP connects it with the rest of the
product.

One line of flow: ``server`` (sockets) → ``site`` (what is at which address) → ``gate`` (sign-in, rate limit)
→ ``api`` (routes) → ``books`` (invoices, payments, journal); ``conditions`` is the query language. ``rules`` are
what differs between one ConnectWise and another: the sandbox plays any of them.
"""

from watcher.sandbox.gate import SignIn
from watcher.sandbox.rules import RuleError, Rules, read_rules, rules_of
from watcher.sandbox.seeds import InvoiceSeed, PaymentSeed, numbered_invoices, read_invoices
from watcher.sandbox.server import Sandbox

__all__ = [
    "InvoiceSeed",
    "PaymentSeed",
    "RuleError",
    "Rules",
    "Sandbox",
    "SignIn",
    "numbered_invoices",
    "read_invoices",
    "read_rules",
    "rules_of",
]
