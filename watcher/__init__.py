"""Sets the payments of dropped accounting exports on their ConnectWise PSA invoices.

The way of a file, and the module that owns each part of it::

    inbox ─event or scan→ settled ─rename→ claimed ─parse→ payments ─look up, plan→ steps ─call→ outcomes → results
    observer  inbox       settle   spool           document          rounds  plan         connectwise  journal  spool

``service`` turns the loop, ``pipeline`` takes a batch of claimed files through it, ``cli`` builds everything.
"""

__version__ = "0.1.0"
