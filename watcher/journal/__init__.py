"""The journal: what was taken, asked, planned and done. The only SQL.

It owns the database, its tables and every query. It does not know the folders, ConnectWise or the settings. Others open
it with ``database`` (``Database``; ``opened`` for those who only look) and use it through nine modules that do not know
each other: ``inboxes`` for their markers, ``claims`` for the files in work and our copies of them, ``ledger`` for what
recovery needs of their payments, ``doubts`` for the invoices on which a call may be carried out late, ``sums`` for the
payments that are added up, ``withdrawals`` for the files that people want out of work, ``history`` for what people ask
and what is forgotten in time, ``bulletins`` for what the daemon says of itself, and ``waits`` for the files that wait
by themselves.
"""
