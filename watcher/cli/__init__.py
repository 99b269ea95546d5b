"""The command line: what people type, what they see, and the exit codes.

It holds no rule about payments or files; it calls ``assembly`` and ``actions``, and prints what they return.
``commands`` has every command. Each command imports what it uses when it is called: most often the module here that has
its name. ``console`` and ``bar`` draw with Rich. Others use ``commands.main``.
"""
