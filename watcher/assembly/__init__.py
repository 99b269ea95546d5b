"""Builds every part from the settings. The only place that does; tests use it.

``local`` builds what needs no network, ``connectwise`` the way to ConnectWise, ``daemon`` all parts of the daemon. They
are apart so that a command imports only what it uses. Each function builds one part of the parts that it is given.
"""
