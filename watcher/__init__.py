"""Records the payments of dropped accounting exports on their invoices in ConnectWise PSA.

The way of a file, and the package that owns each step of it::

    inbox ─event or scan→ quiet ─rename→ claimed ─read→ payments ─look up, plan→ steps ─call→ outcomes → result files
    inbox                 inbox          folders        documents   processing,        connectwise   journal,  folders
                                                                    payments                         processing

``daemon`` turns the loop, ``processing`` takes claimed files to their end, ``assembly`` builds every part.
"""

__version__ = "0.1.0"
