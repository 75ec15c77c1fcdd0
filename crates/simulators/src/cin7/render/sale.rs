//! `saleList` rows, `saleCreditNoteList` rows and whole sales.

use super::{numbered, overlay};
use crate::cin7::json::{J, obj};
use crate::cin7::world::World;
use crate::cin7::world::customer::Customer;
use crate::cin7::world::sale::{Kind, Sale, Status, TAX_RULES};
use serde_json::Value;

/// What a client may switch in `GET sale`.
#[derive(Default, Clone, Copy)]
pub(crate) struct SaleView {
    pub hide_movements: bool,
    pub transactions: bool,
    pub country: CountryFormat,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountryFormat {
    #[default]
    Regular,
    Code2,
    Code3,
}

/// ISO codes of the countries in the data set; others are written as they are.
fn country(name: &str, format: CountryFormat) -> &str {
    let codes = match name {
        "United Kingdom" => ("GB", "GBR"),
        "Germany" => ("DE", "DEU"),
        "France" => ("FR", "FRA"),
        "Ireland" => ("IE", "IRL"),
        "Spain" => ("ES", "ESP"),
        "Netherlands" => ("NL", "NLD"),
        "Belgium" => ("BE", "BEL"),
        "Switzerland" => ("CH", "CHE"),
        "Portugal" => ("PT", "PRT"),
        "Australia" => ("AU", "AUS"),
        _ => (name, name),
    };
    match format {
        CountryFormat::Regular => name,
        CountryFormat::Code2 => codes.0,
        CountryFormat::Code3 => codes.1,
    }
}

impl World {
    /// One row of `saleList`.
    pub(crate) fn sale_row<'a>(&'a self, sale: &'a Sale) -> J<'a> {
        let stages = self.stages(sale);
        let customer = self.customer(sale.customer);
        let invoice = sale.invoices.iter().find(|i| i.status != Status::Voided);
        let credit = sale
            .credit_notes
            .iter()
            .find(|c| c.status != Status::Voided);
        let written = |key: &str| -> Option<&'a Value> { sale.header.as_ref()?.written.get(key) };
        obj! {
            "SaleID": sale.id,
            "OrderNumber": &sale.number,
            "Status": stages.status,
            "OrderDate": sale.order_date,
            "InvoiceDate": invoice.map(|i| i.date),
            "Customer": &customer.name,
            "CustomerID": customer.id,
            "InvoiceNumber": invoice.map(|i| i.number.as_str()),
            "CustomerReference": written("CustomerReference").map_or(J::Str(""), J::Val),
            "InvoiceAmount": stages.invoiced - stages.credited,
            "PaidAmount": stages.paid - stages.refunded,
            "SaleInvoicesTotalAmount": stages.invoiced,
            "InvoiceDueDate": invoice.map(|i| i.due),
            "ShipBy": sale.ship_by,
            "BaseCurrency": self.currency(),
            "CustomerCurrency": self.currency(),
            "CreditNoteNumber": credit.map(|c| c.number.as_str()),
            "Updated": sale.updated,
            "QuoteStatus": if sale.voided { "VOIDED" } else { sale.quote.text() },
            "OrderStatus": if sale.voided { "VOIDED" } else { sale.order.text() },
            "CombinedPickingStatus": stages.picking,
            "CombinedPaymentStatus": stages.payment,
            "CombinedTrackingNumbers": tracking(sale),
            "CombinedPackingStatus": stages.packing,
            "CombinedShippingStatus": stages.shipping,
            "CombinedInvoiceStatus": stages.invoicing,
            "CombinedPaymentTotal": stages.paid,
            "CreditNoteStatus": stages.credit,
            "FulFilmentStatus": stages.fulfilment,
            "Type": sale.kind.text(),
            "SourceChannel": written("SourceChannel").map_or(J::Null, J::Val),
            "ExternalID": written("ExternalID").map_or(J::Null, J::Val),
            "OrderLocationID": self.place(sale.location).id,
            "RestockStatus": stages.restock,
        }
    }

    /// The whole sale, as `GET sale` answers it.
    pub(crate) fn sale_document<'a>(&'a self, sale: &'a Sale, view: SaleView) -> J<'a> {
        let stages = self.stages(sale);
        let customer = self.customer(sale.customer);
        let journal = sale.header.as_ref().and_then(|h| h.journal.as_ref());
        let rest = sale.header.as_deref();
        let carrier = sale
            .fulfilments
            .iter()
            .flat_map(|f| f.shipments.iter())
            .next();
        let mut doc = obj! {
            "ID": sale.id,
            "Customer": &customer.name,
            "CustomerID": customer.id,
            "Contact": customer.contact(),
            "Phone": customer.phone(),
            "Email": customer.email(),
            "DefaultAccount": "200",
            "SkipQuote": sale.skip_quote,
            "BillingAddress": billing(customer, view.country),
            "ShippingAddress": self.shipping(customer, view.country),
            "ShippingNotes": "",
            "BaseCurrency": self.currency(),
            "CustomerCurrency": self.currency(),
            "TaxRule": if customer.country == "United Kingdom" { TAX_RULES[0].0 } else { TAX_RULES[1].0 },
            "TaxCalculation": "Exclusive",
            "Terms": "30 days",
            "PriceTier": super::super::world::books::TIERS[usize::from(customer.tier.clamp(1, 10)) - 1],
            "ShipBy": sale.ship_by,
            "Location": self.place_name(sale.location),
            "SaleOrderDate": sale.order_date,
            "LastModifiedOn": sale.updated,
            "Note": "",
            "CustomerReference": "",
            "COGSAmount": self.cogs(sale),
            "Status": stages.status,
            "CombinedPickingStatus": stages.picking,
            "CombinedPackingStatus": stages.packing,
            "CombinedShippingStatus": stages.shipping,
            "FulFilmentStatus": stages.fulfilment,
            "CombinedInvoiceStatus": stages.invoicing,
            "CombinedPaymentStatus": stages.payment,
            "CombinedTrackingNumbers": tracking(sale),
            "Carrier": carrier.map_or("", |shipment| shipment.carrier.as_ref()),
            "CurrencyRate": sale.currency_rate,
            "SalesRepresentative": "Morgan Reeve",
            "ServiceOnly": sale.kind == Kind::Service,
            "Type": sale.kind.text(),
            "SourceChannel": J::Null,
            "ExternalID": J::Null,
            "Quote": self.quote_part(sale),
            "Order": self.order_part(sale),
            "Fulfilments": sale.fulfilments.iter().map(|f| self.fulfilment_part(sale, f)).collect::<Vec<_>>(),
            "Invoices": sale.invoices.iter().map(|i| self.invoice_part(sale, i)).collect::<Vec<_>>(),
            "CreditNotes": sale.credit_notes.iter().map(|c| self.credit_part(c)).collect::<Vec<_>>(),
            "ManualJournals": match journal {
                Some(journal) => J::Val(journal),
                None => obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) },
            },
            "AdditionalAttributes": J::Obj(numbered!("AdditionalAttribute").map(|key| (key, J::Str(""))).to_vec()),
            "Attachments": rest.map_or(vec![], |h| h.attachments.iter().map(J::Val).collect()),
            "InventoryMovements": if view.hide_movements { vec![] } else { self.sale_movements(sale) },
            "Transactions": if view.transactions { self.sale_transactions(sale) } else { vec![] },
        };
        overlay(&mut doc, rest.map(|header| &header.written));
        doc
    }

    /// What the picked goods cost.
    fn cogs(&self, sale: &Sale) -> rust_decimal::Decimal {
        let picks = sale
            .live_fulfilments()
            .filter(|f| f.pick == Status::Authorised);
        let lines = picks.flat_map(|f| f.picked.iter());
        lines
            .map(|l| self.product(l.product).cost * l.quantity)
            .sum::<rust_decimal::Decimal>()
            .round_dp(2)
    }

    fn sale_movements(&self, sale: &Sale) -> Vec<J<'_>> {
        let picks = sale
            .fulfilments
            .iter()
            .filter(|f| !f.voided && f.pick == Status::Authorised);
        let date = sale.order_date;
        let lines = picks.flat_map(|f| f.picked.iter().map(move |l| (f.task, l)));
        lines
            .map(|(task, line)| {
                let product = self.product(line.product);
                obj! {
                    "TaskID": task,
                    "ProductID": product.id,
                    "Date": date,
                    "COGS": (product.cost * line.quantity).round_dp(4),
                }
            })
            .collect()
    }

    fn sale_transactions(&self, sale: &Sale) -> Vec<J<'_>> {
        let booked = sale
            .invoices
            .iter()
            .filter(|i| matches!(i.status, Status::Authorised | Status::Paid));
        booked
            .map(|invoice| {
                obj! {
                    "TaskID": invoice.task,
                    "TransactionID": super::super::world::id_of(&format!("transaction/{}", invoice.number)),
                    "Debit": "610",
                    "Credit": "200",
                    "Description": format!("Invoice {}", invoice.number),
                    "Amount": invoice.total(),
                    "EffectiveDate": invoice.date,
                }
            })
            .collect()
    }

    pub(crate) fn shipping<'a>(&'a self, customer: &'a Customer, format: CountryFormat) -> J<'a> {
        let J::Obj(mut fields) = billing(customer, format) else {
            return J::Null;
        };
        fields.push((
            "ID",
            J::Id(super::super::world::id_of(&format!(
                "address/{}/shipping",
                customer.number
            ))),
        ));
        fields.push(("Company", J::Str(&customer.name)));
        fields.push(("Contact", J::Text(customer.contact())));
        fields.push(("ShipToOther", J::Bool(false)));
        J::Obj(fields)
    }
}

fn billing(customer: &Customer, format: CountryFormat) -> J<'_> {
    let country = country(&customer.country, format);
    obj! {
        "DisplayAddressLine1": customer.street(),
        "DisplayAddressLine2": format!("{} {} {}", customer.town(), customer.postcode(), country),
        "Line1": customer.street(),
        "Line2": "",
        "City": customer.town(),
        "State": "",
        "Postcode": customer.postcode(),
        "Country": country,
    }
}

fn tracking(sale: &Sale) -> String {
    let shipments = sale
        .fulfilments
        .iter()
        .filter(|f| !f.voided)
        .flat_map(|f| f.shipments.iter());
    let numbers: Vec<&str> = shipments
        .map(|s| s.tracking.as_str())
        .filter(|t| !t.is_empty())
        .collect();
    numbers.join(", ")
}
