//! Transfers, adjustments, stocktakes, assemblies and disassemblies.

use super::{numbered, overlay, product_line};
use crate::cin7::json::{J, fields, obj};
use crate::cin7::world::World;
use crate::cin7::world::assembly::{Assembly, AssemblyStatus, Disassembly, Used};
use crate::cin7::world::stockdoc::{
    Adjustment, AdjustmentLine, CountStatus, Transfer, TransferLine, TransferStatus,
};
use rust_decimal::Decimal;

impl World {
    pub(crate) fn transfer_row<'a>(&'a self, t: &'a Transfer) -> J<'a> {
        obj! {
            "TaskID": t.id,
            "From": self.place(t.from).id,
            "FromLocation": self.place_name(t.from),
            "To": self.place(t.to).id,
            "ToLocation": self.place_name(t.to),
            "Status": t.status.text(),
            "Number": &t.number,
            "CompletionDate": t.completed,
            "DepartureDate": t.departed,
            "InTransitAccount": &t.in_transit_account,
            "CostDistributionType": &t.cost_distribution,
            "Reference": &t.reference,
            "LastModifiedOn": t.modified,
        }
    }

    pub(crate) fn transfer_document<'a>(&'a self, t: &'a Transfer) -> J<'a> {
        let mut doc = self.transfer_row(t);
        let shown = t.status != TransferStatus::Voided;
        let lines = |lines: &'a [TransferLine], order: bool| -> Vec<J<'a>> {
            lines
                .iter()
                .filter(|_| shown)
                .map(|line| self.transfer_line(line, order))
                .collect()
        };
        doc.set("RequiredByDate", t.required.into());
        doc.set("Lines", J::Arr(lines(&t.lines, false)));
        doc.set("ManualJournals", J::Arr(vec![]));
        doc.set("SkipOrder", J::Bool(t.skip_order));
        doc.set(
            "Order",
            obj! { "Status": t.order.unwrap_or("NOT AVAILABLE"), "Lines": lines(&t.order_lines, true) },
        );
        doc
    }

    pub(crate) fn transfer_line<'a>(&'a self, line: &'a TransferLine, order: bool) -> J<'a> {
        let product = self.product(line.product);
        let mut doc = obj! {
            "ProductID": product.id,
            "SKU": &product.sku,
            "ProductName": &product.name,
            "QuantityOnHand": line.on_hand,
            "QuantityAvailable": line.available,
            "TransferQuantity": line.quantity,
        };
        if !order {
            let (batch, expiry) = self.batch_of(line.batch);
            doc.set("BatchSN", batch);
            doc.set("ExpiryDate", expiry);
        }
        doc.set("Comments", J::Str(&line.comments));
        product_line(product, doc)
    }

    pub(crate) fn adjustment_row<'a>(&'a self, a: &'a Adjustment) -> J<'a> {
        if a.stocktake {
            return obj! {
                "TaskID": a.id,
                "EffectiveDate": a.date,
                "StocktakeNumber": &a.number,
                "Status": a.status.text(),
                "Account": &a.account,
                "LocationID": self.place(a.location).id,
                "Location": self.place_name(a.location),
                "Tags": "",
                "PickZones": "",
                "StockLocators": "",
                "Categories": "",
                "Brands": "",
                "Bins": "",
                "Reference": &a.reference,
                "CreatedDate": a.created,
                "LastUpdatedDate": a.modified,
                "LastUpdatedBy": "Morgan Reeve",
            };
        }
        obj! {
            "TaskID": a.id,
            "EffectiveDate": a.date,
            "StocktakeNumber": &a.number,
            "Status": a.status.text(),
            "Account": &a.account,
            "Reference": &a.reference,
            "Comment": &a.comment,
        }
    }

    pub(crate) fn adjustment_document<'a>(&'a self, a: &'a Adjustment) -> J<'a> {
        let mut doc = self.adjustment_row(a);
        let shown = a.status != CountStatus::Voided;
        let lines = |new: bool| -> Vec<J<'a>> {
            a.lines
                .iter()
                .filter(|line| shown && line.new == new)
                .map(|line| self.adjustment_line(line))
                .collect()
        };
        let (existing, new) = match a.stocktake {
            true => ("NonZeroStockOnHandProducts", "ZeroStockOnHandProducts"),
            false => ("ExistingStockLines", "NewStockLines"),
        };
        if a.stocktake {
            for key in [
                "Tags",
                "PickZones",
                "StockLocators",
                "Categories",
                "Brands",
                "Bins",
            ] {
                doc.set(key, J::Arr(vec![]));
            }
            doc.set("UseRelativeQuantity", J::Bool(false));
        } else {
            doc.set("UpdateOnHand", J::Bool(a.on_hand_target));
        }
        doc.set(existing, J::Arr(lines(false)));
        doc.set(new, J::Arr(lines(true)));
        doc.set(
            "Transactions",
            J::Arr(a.transactions.iter().map(J::Val).collect()),
        );
        doc
    }

    fn adjustment_line<'a>(&'a self, line: &'a AdjustmentLine) -> J<'a> {
        let product = self.product(line.product);
        let (batch, expiry) = self.batch_of(line.batch);
        let mut doc =
            obj! { "ProductID": product.id, "SKU": &product.sku, "ProductName": &product.name };
        if line.new {
            doc.set("Quantity", J::Dec(line.target));
            doc.set("UnitCost", J::Dec(line.cost));
        } else {
            doc.set("QuantityOnHand", J::Dec(line.on_hand));
            doc.set("Available", J::Dec(line.available));
            doc.set("Adjustment", J::Dec(line.target));
        }
        doc.set("LocationID", J::Id(self.place(line.place).id));
        doc.set("Location", J::Text(self.place_name(line.place)));
        doc.set("BatchSN", batch);
        doc.set("ExpiryDate", expiry);
        if line.new {
            doc.set("ReceivedDate", line.received.into());
        }
        doc.set("Comments", J::Str(&line.comments));
        product_line(product, doc)
    }

    pub(crate) fn assembly_row<'a>(&'a self, a: &'a Assembly) -> J<'a> {
        let product = self.product(a.product);
        let (batch, expiry) = self.batch_of(a.batch);
        let unit = if a.quantity.is_zero() {
            Decimal::ZERO
        } else {
            (a.cost() / a.quantity).round_dp(4)
        };
        let warehouse = self.warehouse_of(a.place);
        let mut fields = fields! {
            "TaskID": a.id,
            "AssemblyNumber": &a.number,
            "BatchSN": if a.batch == 0 { J::Str("") } else { batch },
            "ExpiryDate": expiry,
            "ProductID": product.id,
            "ProductCode": &product.sku,
            "ProductName": &product.name,
            "Quantity": a.quantity,
            "LocationID": self.place(warehouse).id,
            "Location": &self.place(warehouse).name,
            "Date": a.date,
            "Status": a.status.text(),
            "UnitCost": unit,
            "Notes": &a.notes,
        };
        fields.extend(numbered!("CustomField").map(|key| (key, J::Str(""))));
        J::Obj(fields)
    }

    pub(crate) fn assembly_document<'a>(&'a self, a: &'a Assembly, errors: Vec<J<'a>>) -> J<'a> {
        let product = self.product(a.product);
        let (batch, expiry) = self.batch_of(a.batch);
        let warehouse = self.warehouse_of(a.place);
        let bin = (warehouse != a.place).then_some(a.place);
        let shown = a.status != AssemblyStatus::Voided;
        let cost = a.cost().round_dp(2);
        let mut fields = fields! {
            "TaskID": a.id,
            "AssemblyNumber": &a.number,
            "Status": a.status.text(),
            "ProductID": product.id,
            "ProductCode": &product.sku,
            "ProductName": &product.name,
            "LocationID": self.place(warehouse).id,
            "Location": &self.place(warehouse).name,
            "BinID": bin.map(|bin| self.place(bin).id),
            "Bin": bin.map(|bin| self.place(bin).name.as_str()),
            "WIPAccount": &a.wip_account,
            "WIPDate": a.wip_date,
            "Account": &a.account,
            "Quantity": a.quantity,
            "AssemblyInstructionURL": "",
            "CompletionDate": a.completed,
            "BatchSN": if a.batch == 0 { J::Str("") } else { batch },
            "ExpiryDate": expiry,
            "Notes": &a.notes,
        };
        fields.extend(numbered!("CustomField").map(|key| (key, J::Str(""))));
        let planned = a.planned.iter().filter(|_| shown).map(|line| {
            let part = self.product(line.product);
            product_line(
                part,
                obj! {
                    "ProductID": part.id,
                    "ProductCode": &part.sku,
                    "Name": &part.name,
                    "ExpenseAccount": &line.expense_account,
                    "Quantity": line.quantity,
                    "Unit": part.uom,
                    "WastagePercent": line.wastage_percent,
                    "WastageQuantity": line.wastage_quantity,
                    "TotalQuantity": line.total,
                    "TotalCost": (part.cost * line.total).round_dp(4),
                },
            )
        });
        fields.push(("OrderLines", J::Arr(planned.collect())));
        let used = a
            .used
            .iter()
            .filter(|_| shown)
            .map(|line| self.used_line(line));
        fields.push(("PickLines", J::Arr(used.collect())));
        let booked = a.status == AssemblyStatus::Completed && !cost.is_zero();
        let transaction = obj! {
            "ID": super::super::world::id_of(&format!("{}/booked", a.id)),
            "Debit": &a.account, "Credit": &a.wip_account, "Amount": cost, "EffectiveDate": a.completed,
        };
        fields.push((
            "Transactions",
            J::Arr(if booked { vec![transaction] } else { vec![] }),
        ));
        fields.push(("Errors", J::Arr(errors)));
        let mut doc = J::Obj(fields);
        overlay(&mut doc, Some(&a.written));
        doc
    }

    /// A consumed component. Without a bin the warehouse stands in its place, as the vendor shows it.
    pub(crate) fn used_line<'a>(&'a self, line: &'a Used) -> J<'a> {
        let part = self.product(line.product);
        let (batch, expiry) = self.batch_of(line.batch);
        product_line(
            part,
            obj! {
                "ProductID": part.id,
                "ProductCode": &part.sku,
                "Name": &part.name,
                "BinID": self.place(line.place).id,
                "Bin": &self.place(line.place).name,
                "BatchSN": batch,
                "ExpiryDate": expiry,
                "Quantity": line.quantity,
                "Unit": part.uom,
                "Cost": line.cost,
            },
        )
    }

    pub(crate) fn disassembly_row<'a>(&'a self, d: &'a Disassembly) -> J<'a> {
        let product = self.product(d.product);
        obj! {
            "TaskID": d.id,
            "DisassemblyNumber": &d.number,
            "ProductID": product.id,
            "ProductCode": &product.sku,
            "ProductName": &product.name,
            "Quantity": d.quantity,
            "LocationID": self.place(self.warehouse_of(d.place)).id,
            "Location": &self.place(self.warehouse_of(d.place)).name,
            "Date": d.date,
            "Status": d.status(),
            "Notes": &d.notes,
        }
    }

    pub(crate) fn disassembly_document<'a>(
        &'a self,
        d: &'a Disassembly,
        errors: Vec<J<'a>>,
    ) -> J<'a> {
        let product = self.product(d.product);
        let taken = d.taken.iter().filter(|_| !d.voided).map(|line| {
            let (batch, expiry) = self.batch_of(line.batch);
            let unit = if line.quantity.is_zero() {
                Decimal::ZERO
            } else {
                line.cost / line.quantity
            };
            obj! {
                "BinID": self.place(line.place).id,
                "Bin": &self.place(line.place).name,
                "Date": d.date,
                "BatchSN": batch,
                "ExpiryDate": expiry,
                "Available": self.stock.available(line.product, self.warehouse_of(line.place)),
                "UnitCost": unit.round_dp(4),
                "Quantity": line.quantity,
                "TotalCost": line.cost.round_dp(4),
            }
        });
        let made = d.made.iter().filter(|_| !d.voided).map(|line| {
            let mut doc = self.used_line(line);
            doc.set("Account", J::Str("630"));
            doc
        });
        obj! {
            "TaskID": d.id,
            "DisassemblyNumber": &d.number,
            "Status": d.status(),
            "ProductID": product.id,
            "ProductCode": &product.sku,
            "ProductName": &product.name,
            "LocationID": self.place(self.warehouse_of(d.place)).id,
            "Location": &self.place(self.warehouse_of(d.place)).name,
            "CompletionDate": d.completed.then_some(d.date),
            "WIPAccount": &d.wip_account,
            "Quantity": d.quantity,
            "AssemblyInstructionURL": "",
            "PickLines": taken.collect::<Vec<_>>(),
            "OrderLines": made.collect::<Vec<_>>(),
            "OrderServiceLines": J::Arr(vec![]),
            "Transactions": J::Arr(vec![]),
            "Errors": errors,
        }
    }
}
