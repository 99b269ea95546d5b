"""The settings: what can be set, where it is read from, how it is checked, and every TOML that the program writes.

It knows no other part of the program but the errors, the messenger, which knows what an Apprise address is, the terms
under which tables are read, and the formats that are stylesheets. Others use ``load.find`` and ``load.load``,
``settings.Settings``, ``presets.preset``, and ``writing.toml`` and ``writing.template``.
"""
