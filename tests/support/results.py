"""The names of the result files of ``apply``, as the manual gives them."""

SUCCESS = "connectwise_accounting_interface_update_invoice_payments_success.xml"
FAIL = "connectwise_accounting_interface_update_invoice_payments_fail.xml"
