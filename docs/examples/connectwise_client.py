"""Uses the ConnectWise PSA simulator through pyconnectwise, a client that knows nothing of it.

    pip install pyconnectwise==0.6.1.2
    millpond simulate connectwise --port 8443 --tls --certificate cert.pem
    REQUESTS_CA_BUNDLE=cert.pem python docs/examples/connectwise_client.py 127.0.0.1:8443 PUBLIC PRIVATE

It finds the codebase, lists, filters, pages and counts, creates a deal with a note and a contact, wins it, and cleans up.
The client insists on https. Its models check every answer: a wrong type stops the script.
"""

import sys

from pyconnectwise import ConnectWiseManageAPIClient
from pyconnectwise.exceptions import NotFoundException

host, public, private = sys.argv[1:4]
api = ConnectWiseManageAPIClient("pond", host, "a3a1d1f0-0000-4000-8000-000000000001", public, private)
print("codebase", api.codebase)
print("version", api.system.info.get().version)

# List and filter.
first = api.sales.opportunities.get(params={"pageSize": 3, "orderBy": "_info/lastUpdated desc"})
for deal in first:
    print("deal", deal.id, deal.name, "|", deal.status.name, "|", deal.company.name)
open_deals = {"conditions": 'status/name = "Open" and lastUpdated > [2020-01-01T00:00:00Z]'}
print("open deals", api.sales.opportunities.count.get(params=open_deals).count)
statuses = api.sales.opportunities.statuses.get(params={"conditions": "closedFlag = true"})
print("closed statuses", [status.name for status in statuses])

# Page through everything.
seen = [deal.id for deal in api.sales.opportunities.paginated(1, 90).all()]
counted = api.sales.opportunities.count.get().count
print("paged", len(seen), "of", counted, "distinct", len(set(seen)))
assert sorted(set(seen)) == seen and len(seen) == counted

# Every record of these lists fits the client's models.
for name, endpoint in {
    "companies": api.company.companies,
    "contacts": api.company.contacts,
    "activities": api.sales.activities,
    "products": api.procurement.products,
    "catalog items": api.procurement.catalog,
    "adjustments": api.procurement.adjustments,
    "tickets": api.service.tickets,
    "members": api.system.members,
}.items():
    print(name, len(list(endpoint.paginated(1, 1000).all())))

# What hangs on one deal.
deal = api.sales.opportunities.id(seen[0])
print("notes", len(deal.notes.get()), "contacts", len(deal.contacts.get()))
site = deal.get().site.id
company = deal.get().company.id
print("site", api.company.companies.id(company).sites.id(site).get().name)
item = api.procurement.catalog.id(1)
print("on hand", item.get().identifier, sum(row.on_hand for row in item.inventory.get()))

# Create, change, delete.
made = api.sales.opportunities.post(
    {"name": "From a client", "expectedCloseDate": "2030-01-31T00:00:00Z", "company": {"id": company},
     "contact": {"id": deal.get().contact.id}, "primarySalesRep": {"identifier": "Ada"}}
)
mine = api.sales.opportunities.id(made.id)
note = mine.notes.post({"text": "Written by a client"})
mine.notes.id(note.id).patch([{"op": "replace", "path": "text", "value": "Changed by a client"}])
print("note", mine.notes.get()[0].text)
won = mine.patch([{"op": "replace", "path": "status", "value": {"name": "Won"}}])
print("won", won.status.name, won.closed_date is not None, won.closed_by.identifier)
api.procurement.products.post(
    {"catalogItem": {"id": 1}, "quantity": 2, "billableOption": "Billable", "opportunity": {"id": made.id}}
)
linked = api.procurement.products.get(params={"conditions": f"opportunity/id={made.id}"})
print("product", linked[0].description, linked[0].quantity, linked[0].price)
mine.delete()
try:
    mine.get()
except NotFoundException as error:
    print("gone", error.response.json())
