//! Packs: which units go into which box.

use super::*;

pub(in crate::cin7::write) fn pack(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.body.required_id("TaskID")?;
    let (at, nth) = find(world, task)?;
    let old = fulfilment(world, at, nth)?;
    if old.pick != Status::Authorised {
        return Err(Refusal::bad(
            "Pack cannot be changed until the pick is authorised",
        ));
    }
    if !old.pack.open() {
        return Err(Refusal::bad(format!(
            "Pack cannot be changed in status {}",
            old.pack.text()
        )));
    }
    if write
        .body
        .text("AutoPackMode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("AUTOPACK"))
    {
        pack_all(world, at, nth)?;
        return answer(world, write.path, task);
    }
    let status = status_of(write)?;
    let mut lines = if write.verb == Verb::Post {
        old.packed.to_vec()
    } else {
        vec![]
    };
    let rows = write.body.rows("Lines")?;
    if status == Status::Authorised && !rows.is_empty() {
        lines.clear();
    }
    for row in rows {
        lines.push(picked_line(world, row, false)?);
    }
    let picked = by_product(&old.picked);
    for (product, quantity) in by_product(&lines) {
        if quantity > picked.get(&product).copied().unwrap_or_default() {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Packed quantity of product (SKU: {sku}) exceeds the picked quantity"
            )));
        }
    }
    if status == Status::Authorised && by_product(&lines) != picked {
        return Err(Refusal::bad(
            "Packed quantity must be equal to picked quantity",
        ));
    }
    set_pack(world, at, nth, lines, status)?;
    answer(world, write.path, task)
}

fn set_pack(
    world: &mut World,
    at: u32,
    nth: usize,
    lines: Vec<Picked>,
    status: Status,
) -> Answer<()> {
    alter(world, at, |sale| {
        let f = &mut sale.fulfilments[nth];
        (f.packed, f.pack) = (Arc::new(lines), status);
    })?;
    if status == Status::Authorised {
        world.announce_sale(
            "Sale/PackAuthorised",
            at,
            json!({"TaskID": world.task_id(at, nth)}),
        );
    }
    Ok(())
}

pub(super) fn pack_all(world: &mut World, at: u32, nth: usize) -> Answer<()> {
    let parcel: Arc<str> = Arc::from("Box 1");
    let picked = fulfilment(world, at, nth)?.picked.iter();
    let lines = picked
        .map(|line| Picked {
            parcel: Some(parcel.clone()),
            ..line.clone()
        })
        .collect();
    set_pack(world, at, nth, lines, Status::Authorised)
}

/// The boxes of a fulfilment, each once.
pub(super) fn boxes(f: &Fulfilment) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = f
        .packed
        .iter()
        .map(|line| line.parcel.clone().unwrap_or_else(|| Arc::from("")))
        .collect();
    names.sort();
    names.dedup();
    names
}
