//! What a purchase costs: its invoices and payments.

use super::*;

pub(super) fn invoice(
    world: &mut World,
    write: &Write<'_>,
    at: usize,
    advanced: bool,
) -> Answer<()> {
    let body = write.body;
    let p = &world.purchases[at];
    if p.order != Status::Authorised {
        return Err(Refusal::bad(
            "Invoice cannot be changed until the order is authorised",
        ));
    }
    let status = status_of(write)?;
    let task = body.id("TaskID")?.filter(|task| advanced && *task != p.id);
    let nth = match task {
        Some(task) => Some(
            p.invoices
                .iter()
                .position(|i| i.task == task)
                .ok_or_else(|| Refusal::bad("Invoice task not found"))?,
        ),
        None if advanced => None,
        None => p.invoices.iter().position(|_| true),
    };
    if nth.is_some_and(|nth| !p.invoices[nth].status.open()) {
        return Err(Refusal::bad(
            "Invoice cannot be changed once it is authorised",
        ));
    }
    let (id, count, number) = (p.id, p.invoices.len(), p.number.clone());
    let (lines, charges) = billed(world, body, status, "invoice", line)?;
    let date = body.date("InvoiceDate")?.unwrap_or_else(|| world.today());
    let due = body
        .date("InvoiceDueDate")?
        .unwrap_or_else(|| date.saturating_add(Span::new().days(30)));
    let number = body
        .text("InvoiceNumber")
        .unwrap_or_else(|| format!("{number}-B{}", count + 1));
    let task = match nth {
        Some(nth) => world.purchases[at].invoices[nth].task,
        None if advanced => world.new_id(),
        None => id,
    };
    let invoice = PurchaseInvoice {
        task,
        number,
        status,
        date,
        due,
        lines,
        charges,
        payments: vec![],
    };
    match nth {
        Some(nth) => world.purchases[at].invoices[nth] = invoice,
        None => world.purchases[at].invoices.push(invoice),
    }
    Ok(())
}

pub(super) fn payment(world: &mut World, write: &Write<'_>, at: usize) -> Answer<()> {
    let body = write.body;
    let amount = body.quantity("Amount")?.round_dp(2);
    let number = body.text("InvoiceNumber");
    let task = body.id("TaskID")?;
    let fits = |i: &PurchaseInvoice| {
        i.status == Status::Authorised
            && number.as_deref().is_none_or(|n| i.number == n)
            && task.is_none_or(|task| i.task == task || task == world.purchases[at].id)
    };
    let nth = world.purchases[at].invoices.iter().position(fits);
    let nth =
        nth.ok_or_else(|| Refusal::bad("Payment can be added to an authorised invoice only"))?;
    let invoice = &world.purchases[at].invoices[nth];
    let due = invoice.totals().2 - invoice.paid();
    if amount > due {
        return Err(Refusal::bad(format!(
            "Payment amount {amount} exceeds the balance {due}"
        )));
    }
    let payment = Payment {
        id: world.new_id(),
        reference: body.text("Reference").unwrap_or_default(),
        amount,
        date: body.date("DatePaid")?.unwrap_or_else(|| world.today()),
        account: body.text("Account").unwrap_or_else(|| "090".into()),
        rate: Decimal::ONE,
        created: world.now(),
    };
    let invoice = &mut world.purchases[at].invoices[nth];
    invoice.payments.push(payment);
    if amount == due {
        invoice.status = Status::Paid;
    }
    Ok(())
}
