"""Turns files into payments and back: reads payment documents, and writes success and fail files.

This package owns the formats: encodings, XML, the two payment documents, the stylesheet, and ``payments.xsd``. It works
on bytes and knows no folders, no journal and no ConnectWise. Only ``stylesheet`` starts a process; everything else is
pure. Others use ``formats.unfinished``, ``formats.PaymentDocuments``, ``stylesheet.Stylesheet``, ``reading.read``,
``writing.write_results`` and ``writing.empty_results``.
"""
