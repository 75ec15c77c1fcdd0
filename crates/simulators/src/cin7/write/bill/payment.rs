//! Payments, prepayments and refunds.

use super::*;

pub(in crate::cin7::write) fn payment(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => add_payment(world, write),
        Verb::Put => change_payment(world, write),
        Verb::Delete => {
            let id = write.query.required_id("ID")?;
            let (at, _) = find_payment(world, id)?;
            alter(world, at, |sale| {
                sale.prepayments.retain(|p| p.id != id);
                for invoice in &mut sale.invoices {
                    invoice.payments.retain(|p| p.id != id);
                    settle(invoice);
                }
                sale.credit_notes
                    .iter_mut()
                    .for_each(|c| c.refunds.retain(|p| p.id != id));
            })?;
            Ok(br#"{"Success":true}"#.to_vec())
        }
    }
}

fn add_payment(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let task = body.required_id("TaskID")?;
    let kind = body
        .text("Type")
        .unwrap_or_else(|| "PAYMENT".into())
        .to_ascii_uppercase();
    let amount = body.quantity("Amount")?.round_dp(2);
    let account = body.required("Account")?;
    let takes = |row: &serde_json::Map<String, serde_json::Value>| {
        row["Code"] == account.as_str() || row["Name"] == account.as_str()
    };
    if !world.books.rows("ref/account").iter().any(takes) {
        return Err(Refusal::unknown_name(format!(
            "Account '{account}' was not found in Chart of Accounts"
        )));
    }
    let at = world
        .sale_index_of_task(task)
        .ok_or_else(|| Refusal::bad("Task not found"))?;
    let sale = live(world, at)?;
    enum To {
        Invoice(usize),
        Credit(usize),
        Ahead,
    }
    let to = match kind.as_str() {
        "PAYMENT" => {
            let nth = sale
                .invoices
                .iter()
                .position(|i| i.task == task && i.status == Status::Authorised);
            let nth = nth.ok_or_else(|| {
                Refusal::bad("Payment can be added to an authorised invoice only")
            })?;
            let due = sale.invoices[nth].total() - sale.invoices[nth].paid();
            if amount > due {
                return Err(Refusal::bad(format!(
                    "Payment amount {amount} exceeds the balance {due}"
                )));
            }
            To::Invoice(nth)
        }
        "REFUND" => {
            let nth = sale
                .credit_notes
                .iter()
                .position(|c| c.task == task && c.status == Status::Authorised);
            To::Credit(nth.ok_or_else(|| {
                Refusal::bad("Refund can be added to an authorised credit note only")
            })?)
        }
        "PREPAYMENT" => {
            let quoted = sale.quote == Status::Authorised || sale.skip_quote;
            if !quoted || sale.order == Status::Authorised {
                return Err(Refusal::bad(
                    "Prepayment needs an authorised quote and an order that is not authorised",
                ));
            }
            To::Ahead
        }
        other => return Err(Refusal::bad(format!("'Type' cannot be '{other}'."))),
    };
    let payment = Payment {
        id: world.new_id(),
        reference: body.text("Reference").unwrap_or_default(),
        amount,
        date: body.date("DatePaid")?.unwrap_or_else(|| world.today()),
        account,
        rate: body.decimal("CurrencyRate")?.unwrap_or(Decimal::ONE),
        created: world.now(),
    };
    let (id, shown) = (payment.id, render::payment(&payment).value());
    let news = alter(world, at, |sale| match to {
        To::Invoice(nth) => {
            let invoice = &mut sale.invoices[nth];
            invoice.payments.push(payment);
            settle(invoice);
            let percent = (invoice.paid() * Decimal::ONE_HUNDRED / invoice.total()).round_dp(2);
            Some((
                invoice.status == Status::Paid,
                invoice.number.clone(),
                invoice.date,
                percent,
            ))
        }
        To::Credit(nth) => {
            sale.credit_notes[nth].refunds.push(payment);
            None
        }
        To::Ahead => {
            sale.prepayments.push(payment);
            None
        }
    })?;
    world.sale_of_task.insert(id, at);
    if let Some((full, number, date, percent)) = news {
        let mut more = json!({"DocumentNumber": number, "DocumentType": "Invoice", "DocumentDate": date.strftime("%d/%m/%Y").to_string()});
        if !full {
            more["AmountPercent"] = crate::cin7::world::rules::number(percent);
        }
        world.announce_sale(
            if full {
                "Sale/FullPaymentReceived"
            } else {
                "Sale/PartialPaymentReceived"
            },
            at,
            more,
        );
    }
    let mut doc = J::Own(shown).value();
    doc["TaskID"] = json!(task);
    doc["Type"] = json!(body.text("Type").unwrap_or_else(|| "Payment".into()));
    Ok(J::Own(doc).bytes())
}

fn find_payment(world: &World, id: Uuid) -> Answer<(u32, Payment)> {
    let missing = || Refusal::bad("Payment not found");
    let at = world.sale_index_of_task(id).ok_or_else(missing)?;
    let sale = live(world, at)?;
    let invoices = sale.invoices.iter().flat_map(|i| i.payments.iter());
    let refunds = sale.credit_notes.iter().flat_map(|c| c.refunds.iter());
    let found = invoices
        .chain(refunds)
        .chain(&sale.prepayments)
        .find(|p| p.id == id);
    Ok((at, found.ok_or_else(missing)?.clone()))
}

fn change_payment(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let (at, mut payment) = find_payment(world, body.required_id("ID")?)?;
    if live(world, at)?
        .prepayments
        .iter()
        .any(|p| p.id == payment.id)
    {
        return Err(Refusal::bad("Prepayment cannot be edited"));
    }
    payment.amount = body.decimal("Amount")?.unwrap_or(payment.amount);
    payment.date = body.date("DatePaid")?.unwrap_or(payment.date);
    payment.reference = body.text("Reference").unwrap_or(payment.reference);
    payment.account = body.text("Account").unwrap_or(payment.account);
    let shown = render::payment(&payment).bytes();
    let over = |invoice: &Invoice| {
        let others: Decimal = invoice
            .payments
            .iter()
            .filter(|p| p.id != payment.id)
            .map(|p| p.amount)
            .sum();
        invoice.payments.iter().any(|p| p.id == payment.id)
            && others + payment.amount > invoice.total()
    };
    if payment.amount <= Decimal::ZERO || live(world, at)?.invoices.iter().any(over) {
        return Err(Refusal::bad(format!(
            "Payment amount {} exceeds the balance",
            payment.amount
        )));
    }
    alter(world, at, |sale| {
        for invoice in &mut sale.invoices {
            for old in invoice.payments.iter_mut().filter(|p| p.id == payment.id) {
                *old = payment.clone();
            }
            settle(invoice);
        }
        for old in sale
            .credit_notes
            .iter_mut()
            .flat_map(|c| c.refunds.iter_mut())
            .filter(|p| p.id == payment.id)
        {
            *old = payment.clone();
        }
    })?;
    Ok(shown)
}
