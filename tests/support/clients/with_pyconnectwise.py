"""Works on invoices with the public client pyconnectwise and prints what came of it as JSON.

The arguments are host and port, company, client id, public key and private key.
"""

from __future__ import annotations

import json
import sys

from pyconnectwise import ConnectWiseManageAPIClient
from pyconnectwise.exceptions import ConnectWiseException


def refused(call, *arguments):
    """Return the status of a call that is refused, and ConnectWise's words."""
    try:
        call(*arguments)
    except ConnectWiseException as error:
        return [error.response.status_code, error.response.json()["message"]]
    return "not refused"


host, company, client_id, public_key, private_key = sys.argv[1:]
invoices = ConnectWiseManageAPIClient(company, host, client_id, public_key, private_key).finance.invoices
paged = [invoice.invoice_number for invoice in invoices.paginated(1, 25).all()]
(found,) = invoices.get(params={"conditions": 'invoiceNumber = "CW-34251" and status/isClosed = True'})
payments = invoices.id(found.id).payments
made = payments.post({"type": "P", "amount": 12.5, "invoice": {"id": found.id}})
changed = payments.id(made.id).patch(
    [
        {"op": "replace", "path": "amount", "value": 346.34},
        {"op": "replace", "path": "paymentDate", "value": "2016-09-22T00:00:00Z"},
    ]
)
listed = [payment.amount for payment in payments.get()]
slashed = payments.id(made.id).patch([{"op": "replace", "path": "/amount", "value": "300.00"}]).amount
whole = {"id": made.id, "type": "P", "amount": 299.5, "invoice": {"id": found.id, "identifier": found.invoice_number}}
put = payments.id(made.id).put(whole)
lower = invoices.get(params={"pagesize": 3, "orderby": "id desc", "FIELDS": "id,type"})
at_location = invoices.count.get(params={"conditions": "location/id = 2 and agreement/id = null"}).count
payments.id(made.id).delete()
told = {
    "paged": paged,
    "counted": invoices.count.get().count,
    "total": found.total,
    "made": made.amount,
    "changed": [changed.amount, changed.payment_date.date().isoformat()],
    "listed": listed,
    "slashed": slashed,
    "put": [put.amount, put.payment_date is None],
    "lower": [each.id for each in lower],
    "at_location": at_location,
    "left_out": [found.agreement is None, found.tax_code is None],
    "unknown_name": refused(invoices.get, None, {"conditions": "invoiceDate > [2020-01-01T00:00:00Z]"}),
    "left": len(payments.get()),
    "missing": refused(invoices.id(9).get),
    "forbidden": refused(invoices.id(1002).payments.post, {"type": "P", "amount": 1}),
}
sys.stdout.write(json.dumps(told))
