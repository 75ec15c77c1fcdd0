//! What happened to sales later: credits, and an old bulk touch.

use super::*;

/// A `C` invoice becomes a credit note on the buyer's latest earlier sale that shares a product; without one it is left out.
pub(super) fn attach_credit(
    world: &mut World,
    plan: &Plan<'_>,
    credit: &SourceInvoice,
    candidates: &[u32],
) {
    let (lines, charges) = split_lines(world, plan, plan.data.lines_of(credit), credit);
    let at = plan.at(credit);
    let shares = |sale: &Sale| {
        sale.lines
            .iter()
            .any(|a| lines.iter().any(|b| a.product == b.product))
    };
    let hit = candidates.iter().rev().copied().find(|index| {
        world.sales[*index as usize]
            .as_ref()
            .is_some_and(|sale| sale.created < at && shares(sale))
    });
    let Some(index) = hit else { return };
    let n = u64::from(credit.number);
    let restock = (lines.iter().filter(|l| !world.product(l.product).service))
        .filter(|_| plan.roll("restock", n, 2) == 0)
        .map(|line| {
            let spot = usual_spot(world, line.product, 0);
            Picked {
                product: line.product,
                place: spot.place,
                batch: spot.batch,
                quantity: line.quantity,
                parcel: None,
            }
        })
        .collect();
    let Some(sale) = world.sales[index as usize].as_mut() else {
        return;
    };
    let task = id_of(&format!("creditnote/{}", credit.number));
    let number = format!("CR-{:05}", credit.number);
    let total = totals(&lines, &charges).2;
    let date = at.to_zoned(TimeZone::UTC).date();
    let refund = Payment {
        id: id_of(&format!("refund/{}", credit.number)),
        reference: number.clone(),
        amount: total,
        date,
        account: "090".into(),
        rate: Decimal::ONE,
        created: at,
    };
    let paid = sale.invoices.iter().any(|i| i.status == Status::Paid);
    let invoice_number = sale
        .invoices
        .first()
        .map(|i| i.number.clone())
        .unwrap_or_default();
    sale.credit_notes.push(CreditNote {
        task,
        number,
        invoice_number,
        status: Status::Authorised,
        date,
        lines: lines.to_vec(),
        charges: charges.to_vec(),
        refunds: if paid { vec![refund] } else { vec![] },
        restock,
        memo: String::new(),
        rate: Decimal::ONE,
    });
    sale.updated = sale.updated.max(at).min(plan.now);
    world.numbers.credit_note = world.numbers.credit_note.max(credit.number);
    world.sale_of_task.insert(task, index);
}

/// The platform once stamped many old sales alike, as it does.
pub(super) fn bulk_touch(world: &mut World, plan: &Plan<'_>) {
    let count = (world.sales.len() / 5).min(BULK_TOUCHED_MAX);
    let stamp = plan
        .ago(0, 46)
        .saturating_sub(SignedDuration::from_hours(1))
        .unwrap_or(plan.now);
    for sale in world.sales.iter_mut().take(count).flatten() {
        sale.updated = stamp.max(sale.created);
    }
}
