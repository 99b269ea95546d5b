"""Fixtures of the journal's tests: a journal in a file, and starts of the program that open it."""

from __future__ import annotations

from support.journal_file import claims, database, file, ledger, reopen, url

__all__ = ["claims", "database", "file", "ledger", "reopen", "url"]
