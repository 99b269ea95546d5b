"""The settings: what can be set, where it is read from, how it is checked, and every TOML that the program writes.

It knows no other part of the program but the errors, the messenger, which knows what an Apprise address is, and the
terms under which tables are read. Others use ``load.find`` and ``load.load``, ``settings.Settings``,
``presets.preset``, and ``writing.toml`` and ``writing.template``.
"""
