//! Taking a purchase or a part of it back.

use super::*;

pub(super) fn void(world: &mut World, at: usize, void: bool) -> Answer<()> {
    let p = &world.purchases[at];
    if p.voided {
        return Err(Refusal::bad("Purchase is voided"));
    }
    if p.receipts.iter().any(|r| r.status == Status::Authorised) || p.invoiced() {
        return Err(Refusal::bad(
            "Purchase cannot be voided or undone while it has authorised receipts or invoices",
        ));
    }
    expect(world, at, Decimal::NEGATIVE_ONE);
    let p = &mut world.purchases[at];
    if void {
        p.voided = true;
    } else {
        p.order = if p.order == Status::Authorised {
            Status::Draft
        } else {
            Status::NotAvailable
        };
    }
    touch(world, at);
    Ok(())
}

/// Deleting a part. Of an advanced receipt: 200, and nothing happens.
pub(super) fn take_back(
    world: &mut World,
    write: &Write<'_>,
    part: &str,
    advanced: bool,
) -> Written {
    let id = match part {
        "payment" => write.query.required_id("ID")?,
        _ => write
            .query
            .id("TaskID")?
            .or(write.query.id("ID")?)
            .ok_or_else(|| Refusal::missing("TaskID"))?,
    };
    if part == "payment" {
        let holds = |p: &Purchase| {
            p.invoices
                .iter()
                .any(|i| i.payments.iter().any(|pay| pay.id == id))
        };
        let at = world
            .purchases
            .iter()
            .position(holds)
            .ok_or_else(|| Refusal::bad("Payment not found"))?;
        for invoice in &mut world.purchases[at].invoices {
            let before = invoice.payments.len();
            invoice.payments.retain(|p| p.id != id);
            if invoice.payments.len() < before && invoice.status == Status::Paid {
                invoice.status = Status::Authorised;
            }
        }
        touch(world, at);
        let all = world.purchases[at]
            .invoices
            .iter()
            .flat_map(|i| i.payments.iter().map(render::payment));
        return Ok(crate::cin7::json::J::Arr(all.collect()).bytes());
    }
    let at = find(world, id)?;
    if part == "invoice" {
        let nth = world.purchases[at]
            .invoices
            .iter()
            .position(|i| i.task == id);
        let nth = nth.ok_or_else(|| Refusal::bad("Invoice task not found"))?;
        if !world.purchases[at].invoices[nth].payments.is_empty() {
            return Err(Refusal::bad(
                "Invoice with payments cannot be voided or undone",
            ));
        }
        world.purchases[at].invoices[nth].status = if write.query.flag("Void") {
            Status::Voided
        } else {
            Status::Draft
        };
        touch(world, at);
    }
    Ok(read::purchase_part(world, &world.purchases[at], write.path, advanced).bytes())
}
