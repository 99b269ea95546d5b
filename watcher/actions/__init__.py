"""What a person can ask or do, whichever face asks: the command line today.

Each action is a function that returns values and prints nothing. It owns no state. It does not know the command line or
the daemon. Those who only look at the journal get its URL, so that a journal that is not there yet is not made. Others
use ``apply``, ``check``, ``explain``, ``history``, ``prune``, ``requeue``, ``status`` and ``withdraw``.
"""
