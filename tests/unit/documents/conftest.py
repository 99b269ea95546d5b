"""Fixtures of the tests of documents: a stylesheet, and what stands in place of the process that runs it."""

from __future__ import annotations

from support.stylesheets import interpreter, sheet

__all__ = ["interpreter", "sheet"]
