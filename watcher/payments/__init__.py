"""The rules about money: what documents ask, what ConnectWise holds, and what is done about it. Pure.

This package owns payments, invoices, demands, steps, results and receipts, as values. It knows no files, no network and
no clock: everything that it needs comes in as an argument. Others use the values of ``model`` and ``invoices``,
``dated.Dated``, ``demands.demands_of``, ``numbered``, ``timely``, ``unrepeated`` and ``first_of_each``,
``planning.plan`` and ``must_list``, ``outcomes.intend``, ``finish``, ``reject`` and ``total``, ``repeated.Asked`` and
``warning_of``, ``sums.Sum``, ``Accepted``, ``Before``, ``Addition`` and ``add``, ``doubts.InDoubt``, ``Settled`` and
``LateCall``, ``refusals.Refusals``, ``attempts.Attempts`` and ``spread``, ``withdrawal.Withdrawal`` and
``is_withdrawal``, and ``receipt.receipt``, ``read_receipt``, ``summary`` and ``refusal_note``.
"""
