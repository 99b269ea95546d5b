"""Proves on a user's own ConnectWise what this program assumes about it.

It owns the looks and the writes of ``prove``, what they mean, the notes by which test payments are always removed
again, and the memory of what was proved. It makes its calls through the product's own client, so what is proved is what
runs. It knows no file of payments and no terminal. ``facts``, ``findings``, ``lookups``, ``books``, ``answers``,
``dates``, ``fitness`` and ``report`` are pure: they decide from what was seen. ``looking``, ``trying``, ``writing`` and
``cleaning`` make the calls. Others use ``notes`` (what is on the test invoice), ``proved`` (what is remembered),
``comparing`` (if it still counts) and what ``actions.prove`` returns.
"""
