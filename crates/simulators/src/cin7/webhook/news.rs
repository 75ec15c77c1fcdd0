//! What the body of each type of event says.

use super::*;

impl World {
    /// Whether anybody wants to hear of events of this type.
    fn heard(&self, kind: &str) -> bool {
        self.hooks
            .all
            .iter()
            .any(|hook| hook.active && hook.kind == kind)
    }

    /// Puts an event on the way to everybody who wants to hear of it.
    pub(crate) fn announce(&mut self, kind: &str, body: Value) {
        if !self.heard(kind) {
            return;
        }
        let delay =
            SignedDuration::try_from(self.options.webhook_delay).unwrap_or(SignedDuration::MAX);
        let due = self.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let hooks = self
            .hooks
            .all
            .iter()
            .filter(|hook| hook.active && hook.kind == kind);
        let room = WAITING_MAX.saturating_sub(self.hooks.waiting.len());
        let new: Vec<_> = hooks
            .take(room)
            .map(|hook| Delivery {
                hook: hook.id,
                due,
                attempt: 0,
                body: body.clone(),
            })
            .collect();
        self.hooks.waiting.extend(new);
    }

    /// Announces an event of a sale, with the members that its type carries besides `more`.
    pub(crate) fn announce_sale(&mut self, kind: &str, at: u32, more: Value) {
        if !self.heard(kind) {
            return;
        }
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let customer = self.customer(sale.customer);
        let mut body = json!({"EventType": kind});
        match kind {
            "Sale/ShipmentAuthorised" | "Sale/InvoiceAuthorised" => {
                body["SaleTaskID"] = json!(sale.id);
                body["TenantID"] = json!(self.account.account_id);
                body["OrderNumber"] = json!(sale.number);
            }
            "Sale/PartialPaymentReceived" | "Sale/FullPaymentReceived" => {
                body["SaleID"] = json!(sale.id)
            }
            _ => {
                body["SaleID"] = json!(sale.id);
                body["SaleOrderNumber"] = json!(sale.number);
            }
        }
        if !matches!(
            kind,
            "Sale/QuoteAuthorised" | "Sale/OrderAuthorised" | "Sale/Backordered"
        ) {
            body["CustomerName"] = json!(customer.name);
            body["CustomerContactName"] = json!(customer.contact());
            body["CustomerContactEmail"] = json!(customer.email());
        }
        if kind == "Sale/Created" {
            body["SaleRepEmail"] = json!("sales@example.com");
            body["SaleOrderDate"] = json!(sale.order_date.to_string());
            body["TaskTypeSign"] = json!("SO");
            body["IsServiceOnly"] =
                json!(if sale.kind == crate::cin7::world::sale::Kind::Service {
                    "1"
                } else {
                    "0"
                });
            body["DownloadLink"] = json!("");
        }
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        self.announce(kind, body);
    }

    /// Announces a customer or a supplier: the record, its addresses and its contacts side by side.
    pub(crate) fn announce_partner(
        &mut self,
        kind: &str,
        what: &str,
        event: &str,
        mut record: Value,
    ) {
        if !self.heard(kind) {
            return;
        }
        let (addresses, contacts) = (record["Addresses"].take(), record["Contacts"].take());
        if let Some(stamp) = record["LastModifiedOn"]
            .as_str()
            .map(|s| s.trim_end_matches('Z').to_owned())
        {
            record["LastModifiedOn"] = json!(stamp);
        }
        let row =
            json!({"Event": event, what: record, "Addresses": addresses, "Contacts": contacts});
        let mut body = json!({"EventType": kind});
        body[format!("NumberOf{what}s")] = json!(1);
        body[format!("{what}DetailsList")] = json!([row]);
        self.announce(kind, body);
    }

    /// Announces every product whose availability changed since the last call.
    pub(crate) fn announce_stock(&mut self) {
        let touched = std::mem::take(&mut self.stock.touched);
        const KIND: &str = "Stock/AvailableStockLevelChanged";
        if !self.heard(KIND) {
            return;
        }
        for product in touched {
            let cards: Vec<_> = self.stock.cards_of(product).collect();
            let rows = cards.iter().map(|(key, card)| {
                let mut row = self.availability_row(key, card).value();
                row["Category"] = json!(self.product(product).category);
                row["MaxRows"] = json!(cards.len());
                row
            });
            let body: Value = rows.collect();
            self.announce(KIND, body);
        }
    }
}
