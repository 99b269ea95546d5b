"""Turns files into payments and back: reads payment documents, and writes success and fail files.

This package owns the formats: encodings, XML, the two payment documents, the stylesheet, tables (CSV), and
``payments.xsd``. It works on bytes and knows no folders, no journal and no ConnectWise. Only ``stylesheet`` starts a
process; everything else is pure. Others use ``formats`` (what a file is, its records, its results),
``stylesheet.Stylesheet``, ``sheets`` (the formats that are stylesheets of ours), ``table_terms.Terms``,
``table.Reader`` and ``writing.empty_results``.
"""
