"""ConnectWise's API, and the only HTTP of this program.

This folder owns how ConnectWise is called: the requests and what their answers hold, the pace of calls, the threads
that make them, and whose fault a failed call is. It does not know documents, files or the journal, nor what has to be
paid. Others use ``client.ConnectWise`` for the calls, ``workers.Workers`` to make them side by side, and, to build
these two, ``http.Account``, ``http.Gateway`` and ``pace.Pace``.
"""
