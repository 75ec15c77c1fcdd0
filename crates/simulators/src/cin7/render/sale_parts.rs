//! The parts of a sale: quote, order, fulfilments, invoices, credit notes.

use super::{payment, product_line};
use crate::cin7::json::{J, fields, obj};
use crate::cin7::world::World;
use crate::cin7::world::sale::{
    Charge, CreditNote, Fulfilment, Invoice, Line, Picked, Sale, Status, TAX_RULES, tax_on, totals,
};
use rust_decimal::Decimal;

fn rule(tax: u8) -> &'static str {
    TAX_RULES.get(tax as usize).map_or("", |(name, _)| name)
}

impl World {
    fn sale_line<'a>(&'a self, line: &'a Line, order: bool, account: bool) -> J<'a> {
        let product = self.product(line.product);
        let total = line.total();
        let mut fields = fields! {
            "ProductID": product.id,
            "SKU": &product.sku,
            "Name": &product.name,
            "Quantity": line.quantity,
            "Price": line.price,
            "Discount": line.discount,
            "Tax": tax_on(total, line.tax),
            "AverageCost": product.cost,
            "TaxRule": rule(line.tax),
            "Comment": line.comment.as_deref().unwrap_or(""),
            "Total": total,
        };
        if order {
            fields.push(("DropShip", J::Bool(line.drop_ship)));
            fields.push(("Backorder", J::Bool(line.backorder > Decimal::ZERO)));
            fields.push(("BackorderQuantity", J::Dec(line.backorder)));
        }
        if account {
            fields.push(("Account", J::Str("200")));
        }
        product_line(product, J::Obj(fields))
    }

    pub(crate) fn charge<'a>(&self, charge: &'a Charge, account: bool) -> J<'a> {
        let total = charge.total();
        let mut doc = obj! {
            "Description": &charge.description,
            "Price": charge.price,
            "Quantity": charge.quantity,
            "Discount": charge.discount,
            "Tax": tax_on(total, charge.tax),
            "Total": total,
            "TaxRule": rule(charge.tax),
            "Comment": charge.comment.as_deref().unwrap_or(""),
        };
        if account {
            doc.set("Account", J::Str("260"));
        }
        doc
    }

    fn charges<'a>(&self, charges: &'a [Charge], account: bool) -> Vec<J<'a>> {
        charges.iter().map(|c| self.charge(c, account)).collect()
    }

    pub(crate) fn quote_part<'a>(&'a self, sale: &'a Sale) -> J<'a> {
        let none = sale.skip_quote || sale.quote == Status::NotAvailable;
        let own = (&sale.lines, &sale.charges);
        let quoted = sale.header.as_ref().and_then(|h| h.quoted.as_ref());
        let (lines, charges) = quoted.map_or(own, |(lines, charges)| (lines, charges));
        let lines: &[Line] = if none { &[] } else { lines };
        let charges: &[Charge] = if none { &[] } else { charges };
        let (net, tax, total) = totals(lines, charges);
        obj! {
            "Memo": sale.header.as_ref().map_or("", |h| h.quote_memo.as_str()),
            "Status": if sale.voided { "VOIDED" } else { sale.quote.text() },
            "Prepayments": sale.prepayments.iter().map(payment).collect::<Vec<_>>(),
            "Lines": lines.iter().map(|l| self.sale_line(l, false, false)).collect::<Vec<_>>(),
            "AdditionalCharges": self.charges(charges, false),
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
        }
    }

    pub(crate) fn order_part<'a>(&'a self, sale: &'a Sale) -> J<'a> {
        let none = sale.order == Status::NotAvailable;
        let lines: &[Line] = if none { &[] } else { &sale.lines };
        let charges: &[Charge] = if none { &[] } else { &sale.charges };
        let (net, tax, total) = totals(lines, charges);
        obj! {
            "SaleOrderNumber": &sale.number,
            "Memo": sale.header.as_ref().map_or("", |h| h.order_memo.as_str()),
            "Status": if sale.voided { "VOIDED" } else { sale.order.text() },
            "Lines": lines.iter().map(|l| self.sale_line(l, true, false)).collect::<Vec<_>>(),
            "AdditionalCharges": self.charges(charges, false),
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
        }
    }

    pub(crate) fn picked_line<'a>(&'a self, line: &'a Picked, packed: bool) -> J<'a> {
        let product = self.product(line.product);
        let (batch, expiry) = self.batch_of(line.batch);
        let mut fields = fields! {
            "ProductID": product.id,
            "SKU": &product.sku,
            "Name": &product.name,
            "Location": self.place_name(line.place),
            "LocationID": self.place(line.place).id,
            "Quantity": line.quantity,
            "BatchSN": batch,
            "ExpiryDate": expiry,
            "NonInventory": product.service,
        };
        if packed {
            fields.push(("Box", J::Str(line.parcel.as_deref().unwrap_or(""))));
            fields.push(("WarrantyRegistrationNumber", J::Null));
        }
        product_line(product, J::Obj(fields))
    }

    pub(crate) fn pick_part<'a>(&'a self, sale: &Sale, f: &'a Fulfilment) -> J<'a> {
        let hidden = sale.voided || f.voided;
        let lines = f
            .picked
            .iter()
            .filter(|_| !hidden)
            .map(|l| self.picked_line(l, false));
        obj! {
            "Status": if hidden { "VOIDED" } else { f.pick.text() },
            "Lines": lines.collect::<Vec<_>>(),
        }
    }

    pub(crate) fn pack_part<'a>(&'a self, sale: &Sale, f: &'a Fulfilment) -> J<'a> {
        let hidden = sale.voided || f.voided;
        let lines = f
            .packed
            .iter()
            .filter(|_| !hidden)
            .map(|l| self.picked_line(l, true));
        obj! {
            "Status": if hidden { "VOIDED" } else { f.pack.text() },
            "Lines": lines.collect::<Vec<_>>(),
        }
    }

    pub(crate) fn ship_part<'a>(&'a self, sale: &'a Sale, f: &'a Fulfilment) -> J<'a> {
        let hidden = sale.voided || f.voided;
        let lines = f.shipments.iter().filter(|_| !hidden).map(|shipment| {
            obj! {
                "ID": shipment.id,
                "ShipmentDate": shipment.date,
                "Carrier": shipment.carrier.as_ref(),
                "Boxes": shipment.boxes.as_ref(),
                "TrackingNumber": &shipment.tracking,
                "TrackingURL": &shipment.url,
                "IsShipped": shipment.shipped,
            }
        });
        obj! {
            "Status": if hidden { "VOIDED" } else { f.ship.text() },
            "RequireBy": f.require_by,
            "ShippingAddress": match &f.address {
                Some(address) => J::Val(address),
                None => self.shipping(self.customer(sale.customer), Default::default()),
            },
            "ShippingNotes": &f.notes,
            "Lines": lines.collect::<Vec<_>>(),
        }
    }

    pub(crate) fn fulfilment_part<'a>(&'a self, sale: &'a Sale, f: &'a Fulfilment) -> J<'a> {
        let state = match () {
            _ if sale.voided || f.voided => "VOIDED",
            _ if f.ship == Status::Authorised => "FULFILLED",
            _ if f.ship == Status::PartiallyAuthorised => "PARTIALLY FULFILLED",
            _ => "NOT FULFILLED",
        };
        obj! {
            "TaskID": f.task,
            "FulfillmentNumber": f.number,
            "LinkedInvoiceNumber": f.linked_invoice.as_deref().unwrap_or(""),
            "FulFilmentStatus": state,
            "Pick": self.pick_part(sale, f),
            "Pack": self.pack_part(sale, f),
            "Ship": self.ship_part(sale, f),
        }
    }

    pub(crate) fn invoice_part<'a>(&'a self, sale: &'a Sale, invoice: &'a Invoice) -> J<'a> {
        let customer = self.customer(sale.customer);
        let voided = invoice.status == Status::Voided || sale.voided;
        let lines: &[Line] = if voided { &[] } else { &invoice.lines };
        let (net, tax, total) = totals(lines, &invoice.charges);
        obj! {
            "TaskID": invoice.task,
            "InvoiceNumber": &invoice.number,
            "Memo": &invoice.memo,
            "Status": if voided { "VOIDED" } else { invoice.status.text() },
            "InvoiceDate": invoice.date,
            "InvoiceDueDate": invoice.due,
            "CurrencyConversionRate": invoice.rate,
            "BillingAddressLine1": customer.street(),
            "BillingAddressLine2": format!("{} {} {}", customer.town(), customer.postcode(), customer.country),
            "LinkedFulfillmentNumber": invoice.linked_fulfilment.map_or(String::new(), |n| n.to_string()),
            "Lines": lines.iter().map(|l| self.sale_line(l, false, true)).collect::<Vec<_>>(),
            "AdditionalCharges": self.charges(&invoice.charges, true),
            "Payments": invoice.payments.iter().map(payment).collect::<Vec<_>>(),
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
            "Paid": invoice.paid(),
        }
    }

    pub(crate) fn credit_part<'a>(&'a self, credit: &'a CreditNote) -> J<'a> {
        let (net, tax, total) = totals(&credit.lines, &credit.charges);
        let restock = credit.restock.iter().map(|line| {
            let mut doc = self.picked_line(line, false);
            doc.set("RestockLocation", J::Text(self.place_name(line.place)));
            doc.set("RestockLocationID", J::Id(self.place(line.place).id));
            doc.set("RestockDate", J::Date(credit.date));
            doc
        });
        obj! {
            "TaskID": credit.task,
            "CreditNoteInvoiceNumber": &credit.invoice_number,
            "Memo": &credit.memo,
            "Status": credit.status.text(),
            "CreditNoteDate": credit.date,
            "CreditNoteNumber": &credit.number,
            "CreditNoteConversionRate": credit.rate,
            "Lines": credit.lines.iter().map(|l| self.sale_line(l, false, true)).collect::<Vec<_>>(),
            "AdditionalCharges": self.charges(&credit.charges, true),
            "Refunds": credit.refunds.iter().map(payment).collect::<Vec<_>>(),
            "Restock": restock.collect::<Vec<_>>(),
            "RestockStatus": if credit.restock.is_empty() { "NOT AVAILABLE" } else { credit.status.text() },
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
        }
    }
}
