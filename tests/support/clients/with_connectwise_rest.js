// Works on invoices with the public client connectwise-rest and prints what came of it as JSON.
// The arguments are host and port, company, client id, public key and private key.

const { ManageAPI } = require('connectwise-rest')

const [companyUrl, companyId, clientId, publicKey, privateKey] = process.argv.slice(2)
const manage = new ManageAPI({ companyUrl, companyId, clientId, publicKey, privateKey, logger: () => {} })
const finance = manage.FinanceAPI

// Return the status of a call that is refused, and ConnectWise's words.
const refused = (call) => call.then(() => 'not refused', (error) => [error.status, error.data.message])

async function tell() {
  const paged = await manage.paginate(finance.getFinanceInvoices, { pageSize: 25 }, { orderBy: 'id asc' })
  const conditions = 'invoiceNumber = "CW-34251" and status/isClosed = True'
  const [found] = await finance.getFinanceInvoices({ conditions })
  const made = await finance.postFinanceInvoicesByParentIdPayments(found.id, {
    type: 'P', amount: 12.5, invoice: { id: found.id },
  })
  const changed = await finance.patchFinanceInvoicesByParentIdPaymentsById(made.id, found.id, [
    { op: 'replace', path: 'amount', value: 346.34 },
    { op: 'replace', path: 'paymentDate', value: '2016-09-22T00:00:00Z' },
  ])
  const listed = await finance.getFinanceInvoicesByParentIdPayments(found.id, {})
  const slashed = await finance.patchFinanceInvoicesByParentIdPaymentsById(made.id, found.id, [
    { op: 'replace', path: '/amount', value: '300.00' },
  ])
  const put = await finance.putFinanceInvoicesByParentIdPaymentsById(made.id, found.id, {
    id: made.id, type: 'P', amount: 299.5, invoice: { id: found.id, identifier: found.invoiceNumber },
  })
  const lower = await finance.getFinanceInvoices({ pagesize: 3, orderby: 'id desc', FIELDS: 'id' })
  const starred = await finance.getFinanceInvoices({ fields: '*', pageSize: 2 })
  const atLocation = await finance.getFinanceInvoicesCount({ conditions: 'location/id = 2 and agreement/id = null' })
  const unknown = { conditions: 'invoiceDate > [2020-01-01T00:00:00Z]' }
  await finance.deleteFinanceInvoicesByParentIdPaymentsById(made.id, found.id)
  return {
    paged: paged.map((invoice) => invoice.invoiceNumber),
    counted: (await finance.getFinanceInvoicesCount({})).count,
    total: found.total,
    made: made.amount,
    changed: [changed.amount, changed.paymentDate.slice(0, 10)],
    listed: listed.map((payment) => payment.amount),
    slashed: slashed.amount,
    put: [put.amount, !('paymentDate' in put)],
    lower: lower.map((invoice) => invoice.id),
    at_location: atLocation.count,
    starred: starred.map((invoice) => invoice.id),
    left_out: ['agreement', 'taxCode'].map((name) => !(name in found)),
    unknown_name: await refused(finance.getFinanceInvoices(unknown)),
    left: (await finance.getFinanceInvoicesByParentIdPayments(found.id, {})).length,
    missing: await refused(finance.getFinanceInvoicesById(9)),
    forbidden: await refused(finance.postFinanceInvoicesByParentIdPayments(1002, { type: 'P', amount: 1 })),
  }
}

tell().then((told) => process.stdout.write(JSON.stringify(told)))
