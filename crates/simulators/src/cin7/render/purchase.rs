//! Purchases: list rows, the advanced form with arrays, the deprecated form with single objects.

use super::{overlay, payment, product_line};
use crate::cin7::json::{J, fields, obj};
use crate::cin7::world::World;
use crate::cin7::world::purchase::{Purchase, PurchaseInvoice, PurchaseLine, Receipt, totals};
use crate::cin7::world::sale::{Status, TAX_RULES, tax_on};

impl World {
    pub(crate) fn purchase_row<'a>(&'a self, p: &'a Purchase) -> J<'a> {
        let supplier = &self.suppliers[p.supplier as usize];
        let invoice = p.invoices.iter().find(|i| i.status != Status::Voided);
        let received = match p.receiving() {
            "FULLY RECEIVED" => "AUTHORISED",
            "PARTIALLY RECEIVED" => "PARTIALLY RECEIVED",
            "VOIDED" => "VOIDED",
            "NOT AVAILABLE" => "NOT AVAILABLE",
            _ => "DRAFT",
        };
        obj! {
            "ID": p.id,
            "BlindReceipt": false,
            "OrderNumber": &p.number,
            "Status": p.status(),
            "OrderDate": p.date,
            "InvoiceDate": invoice.map(|i| i.date),
            "Supplier": &supplier.name,
            "SupplierID": supplier.id,
            "InvoiceNumber": invoice.map_or("", |i| i.number.as_str()),
            "InvoiceAmount": p.invoices.iter().map(|i| i.totals().2).sum::<rust_decimal::Decimal>(),
            "PaidAmount": p.invoices.iter().map(|i| i.paid()).sum::<rust_decimal::Decimal>(),
            "InvoiceDueDate": invoice.map(|i| i.due),
            "RequiredBy": p.required,
            "BaseCurrency": self.currency(),
            "SupplierCurrency": self.currency(),
            "CreditNoteNumber": J::Null,
            "OrderStatus": if p.voided { "VOIDED" } else { p.order.text() },
            "StockReceivedStatus": received,
            "UnstockStatus": "NOT AVAILABLE",
            "InvoiceStatus": match (p.voided, invoice) {
                (true, _) => "VOIDED",
                (_, Some(invoice)) => invoice.status.text(),
                _ => "NOT AVAILABLE",
            },
            "CreditNoteStatus": "NOT AVAILABLE",
            // Seen without the `Z` that all other resources write.
            "LastUpdatedDate": p.modified.to_string().trim_end_matches('Z').to_owned(),
            "Type": if p.advanced { "Advanced Purchase" } else { "Simple Purchase" },
            "CombinedInvoiceStatus": p.invoicing(),
            "CombinedPaymentStatus": p.payment(),
            "CombinedReceivingStatus": p.receiving(),
            "IsServiceOnly": false,
            "DropShipTaskID": J::Null,
        }
    }

    pub(crate) fn purchase_document<'a>(&'a self, p: &'a Purchase, advanced: bool) -> J<'a> {
        let supplier = &self.suppliers[p.supplier as usize];
        let address = |company: &'a str| {
            obj! {
                "DisplayAddressLine1": "1 Mill Lane", "DisplayAddressLine2": "London", "Line1": "1 Mill Lane",
                "Line2": "", "City": "London", "State": "", "Postcode": "E1 1AA", "Country": "United Kingdom",
                "Company": company, "Contact": "", "ShipToOther": false,
            }
        };
        let mut fields = fields! {
            "ID": p.id,
            "SupplierID": supplier.id,
            "Supplier": &supplier.name,
            "Contact": "Sales desk",
            "Phone": "+44 1632 960100",
            "InventoryAccount": "630",
            "BlindReceipt": false,
            "Approach": if p.invoice_first { "INVOICE" } else { "STOCK" },
            "BillingAddress": address(&supplier.name),
            "ShippingAddress": address(&self.account.name),
            "BaseCurrency": self.currency(),
            "SupplierCurrency": self.currency(),
            "TaxRule": TAX_RULES[1].0,
            "TaxCalculation": "Exclusive",
            "Terms": "30 days",
            "RequiredBy": p.required,
            "Location": self.place_name(p.location),
            "Note": "",
            "OrderNumber": &p.number,
            "OrderDate": p.date,
            "CombinedInvoiceStatus": p.invoicing(),
            "CombinedPaymentStatus": p.payment(),
            "CombinedReceivingStatus": p.receiving(),
            "Type": if p.advanced { "Advanced Purchase" } else { "Simple Purchase" },
            "IsServiceOnly": false,
            "Status": p.status(),
            "RelatedDropShipSaleTask": J::Null,
            "CurrencyRate": 1_i64,
            "LastUpdatedDate": p.modified,
            "Order": self.purchase_order(p),
        };
        let receipts: Vec<J<'a>> = p
            .receipts
            .iter()
            .map(|r| self.receipt(p, r, false))
            .collect();
        let invoices: Vec<J<'a>> = p
            .invoices
            .iter()
            .map(|i| self.purchase_invoice(p, i))
            .collect();
        let first = |mut all: Vec<J<'a>>| match all.is_empty() {
            true => {
                obj! { "Status": if p.voided { "VOIDED" } else { "NOT AVAILABLE" }, "Lines": J::Arr(vec![]) }
            }
            false => all.swap_remove(0),
        };
        let no_note = || obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]), "Unstock": J::Arr(vec![]), "Refunds": J::Arr(vec![]) };
        let no_journal = || obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) };
        let rest = if advanced {
            let put_away = p
                .receipts
                .iter()
                .map(|r| self.receipt(p, r, true))
                .collect::<Vec<_>>();
            obj! {
                "StockReceived": receipts, "PutAway": put_away, "Invoice": invoices,
                "CreditNote": J::Arr(vec![]), "ManualJournals": J::Arr(vec![]),
            }
        } else {
            obj! {
                "StockReceived": first(receipts), "Invoice": first(invoices), "CreditNote": no_note(),
                "ManualJournals": no_journal(),
            }
        };
        if let J::Obj(rest) = rest {
            fields.extend(rest);
        }
        let blank = super::numbered!("AdditionalAttribute")
            .map(|key| (key, J::Str("")))
            .to_vec();
        fields.push(("AdditionalAttributes", J::Obj(blank)));
        fields.push(("Attachments", J::Arr(vec![])));
        let moved = p
            .receipts
            .iter()
            .filter(|r| r.status == Status::Authorised && !p.voided);
        let moved = moved.flat_map(|r| r.lines.iter().map(move |l| (r.task, l))).map(|(task, line)| {
            let product = self.product(line.product);
            obj! { "TaskID": task, "ProductID": product.id, "Date": line.date, "COGS": (product.cost * line.quantity).round_dp(4) }
        });
        fields.push(("InventoryMovements", J::Arr(moved.collect())));
        let mut doc = J::Obj(fields);
        overlay(&mut doc, Some(&p.written));
        doc
    }

    pub(crate) fn purchase_order<'a>(&'a self, p: &'a Purchase) -> J<'a> {
        let (net, tax, total) = totals(&p.lines, &p.charges);
        obj! {
            "Memo": &p.memo,
            "Status": if p.voided { "VOIDED" } else { p.order.text() },
            "Lines": p.lines.iter().map(|l| self.purchase_line(p, l)).collect::<Vec<_>>(),
            "AdditionalCharges": p.charges.iter().map(|c| self.charge(c, false)).collect::<Vec<_>>(),
            "Prepayments": J::Arr(vec![]),
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
        }
    }

    fn purchase_line<'a>(&'a self, p: &Purchase, line: &'a PurchaseLine) -> J<'a> {
        let product = self.product(line.product);
        let supplier = &self.suppliers[p.supplier as usize];
        let code = supplier.name.get(..3).unwrap_or("SUP").to_uppercase();
        product_line(
            product,
            obj! {
                "ProductID": product.id,
                "SKU": &product.sku,
                "Name": &product.name,
                "Quantity": line.quantity,
                "Price": line.price,
                "Discount": line.discount,
                "Tax": tax_on(line.total(), line.tax),
                "TaxRule": TAX_RULES.get(line.tax as usize).map_or("", |(name, _)| name),
                "SupplierSKU": format!("{code}-{}", product.sku),
                "Comment": &line.comment,
                "Total": line.total(),
            },
        )
    }

    pub(crate) fn receipt<'a>(
        &'a self,
        p: &Purchase,
        receipt: &'a Receipt,
        put_away: bool,
    ) -> J<'a> {
        let hidden = p.voided || receipt.status == Status::Voided;
        let lines = receipt.lines.iter().filter(|_| !hidden).map(|line| {
            let product = self.product(line.product);
            let (batch, expiry) = self.batch_of(line.batch);
            let mut doc = obj! {
                "Date": line.date,
                "Quantity": line.quantity,
                "ProductID": product.id,
                "SKU": &product.sku,
                "Name": &product.name,
                "Location": self.place_name(line.place),
                "LocationID": self.place(line.place).id,
                "Received": receipt.status == Status::Authorised,
                "BatchSN": batch,
                "SupplierSKU": "",
                "ExpiryDate": expiry,
            };
            if put_away {
                doc.set("CardID", J::Id(line.card));
            }
            product_line(product, doc)
        });
        obj! {
            "TaskID": receipt.task,
            "Status": if hidden { "VOIDED" } else { receipt.status.text() },
            "Lines": lines.collect::<Vec<_>>(),
        }
    }

    pub(crate) fn purchase_invoice<'a>(
        &'a self,
        p: &'a Purchase,
        invoice: &'a PurchaseInvoice,
    ) -> J<'a> {
        let (net, tax, total) = invoice.totals();
        obj! {
            "TaskID": invoice.task,
            "InvoiceDate": invoice.date,
            "InvoiceDueDate": invoice.due,
            "InvoiceNumber": &invoice.number,
            "Status": if p.voided { "VOIDED" } else { invoice.status.text() },
            "Lines": invoice.lines.iter().map(|l| self.purchase_line(p, l)).collect::<Vec<_>>(),
            "AdditionalCharges": invoice.charges.iter().map(|c| self.charge(c, true)).collect::<Vec<_>>(),
            "Payments": invoice.payments.iter().map(payment).collect::<Vec<_>>(),
            "TotalBeforeTax": net,
            "Tax": tax,
            "Total": total,
            "Paid": invoice.paid(),
            "CurrencyRate": 1_i64,
        }
    }
}
