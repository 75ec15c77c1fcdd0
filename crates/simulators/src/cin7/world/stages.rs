//! The statuses that Cin7 derives from the stages of a sale (reference section 4).

use super::World;
use super::sale::{Fulfilment, Kind, Sale, Status};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Everything derived about one sale.
pub(crate) struct Stages {
    pub status: &'static str,
    pub picking: &'static str,
    pub packing: &'static str,
    pub shipping: &'static str,
    pub fulfilment: &'static str,
    pub invoicing: &'static str,
    pub payment: &'static str,
    pub credit: &'static str,
    pub restock: &'static str,
    /// Sum of the live invoices.
    pub invoiced: Decimal,
    pub credited: Decimal,
    pub paid: Decimal,
    pub refunded: Decimal,
}

const NONE: &str = "NOT AVAILABLE";

/// How far the goods of a sale have come in one stage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    None,
    Begun,
    Part,
    All,
}

fn words(reach: Reach, words: [&'static str; 4]) -> &'static str {
    words[match reach {
        Reach::None => 0,
        Reach::Begun => 1,
        Reach::Part => 2,
        Reach::All => 3,
    }]
}

impl World {
    /// What authorised picks have taken, by product.
    pub(crate) fn goods_picked(&self, sale: &Sale) -> BTreeMap<u32, Decimal> {
        let mut taken = BTreeMap::new();
        for fulfilment in sale
            .live_fulfilments()
            .filter(|f| f.pick == Status::Authorised)
        {
            for line in fulfilment.picked.iter() {
                *taken.entry(line.product).or_default() += line.quantity;
            }
        }
        taken
    }

    /// What has left what is on hand, by product.
    pub(crate) fn goods_gone(&self, sale: &Sale) -> BTreeMap<u32, Decimal> {
        let mut gone = BTreeMap::new();
        for line in self.gone_fulfilments(sale).flat_map(|f| f.picked.iter()) {
            *gone.entry(line.product).or_default() += line.quantity;
        }
        gone
    }

    /// What the sale holds allocated: ordered, not on backorder, not yet picked.
    pub(crate) fn goods_held(&self, sale: &Sale) -> BTreeMap<u32, Decimal> {
        let mut held: BTreeMap<u32, Decimal> = BTreeMap::new();
        if sale.order != Status::Authorised || sale.voided {
            return held;
        }
        for line in sale
            .lines
            .iter()
            .filter(|l| !l.drop_ship && !self.product(l.product).service)
        {
            *held.entry(line.product).or_default() += line.quantity - line.backorder;
        }
        for (product, taken) in self.goods_gone(sale) {
            let left = held.entry(product).or_default();
            *left = (*left - taken).max(Decimal::ZERO);
        }
        held.retain(|_, quantity| *quantity > Decimal::ZERO);
        held
    }

    fn reach(
        &self,
        sale: &Sale,
        done: impl Fn(&Fulfilment) -> bool,
        begun: impl Fn(&Fulfilment) -> bool,
    ) -> Reach {
        let (mut any_done, mut any_begun) = (false, false);
        // A sale whose only fulfilment is done and holds as many goods as were ordered needs no sum by product.
        let mut moved = Decimal::ZERO;
        for fulfilment in sale.live_fulfilments() {
            if done(fulfilment) {
                any_done = true;
                moved += fulfilment
                    .picked
                    .iter()
                    .map(|line| line.quantity)
                    .sum::<Decimal>();
            }
            any_begun |= begun(fulfilment);
        }
        if !any_done {
            return if any_begun { Reach::Begun } else { Reach::None };
        }
        let due = sale
            .lines
            .iter()
            .filter(|l| !l.drop_ship && !self.product(l.product).service);
        let due: Decimal = due.map(|l| l.quantity).sum();
        if moved >= due {
            Reach::All
        } else {
            Reach::Part
        }
    }

    /// Derives every status of a sale.
    pub(crate) fn stages(&self, sale: &Sale) -> Stages {
        let live = || sale.invoices.iter().filter(|i| i.status != Status::Voided);
        let fixed = |s: Status| matches!(s, Status::Authorised | Status::Paid);
        let invoiced: Decimal = live().filter(|i| fixed(i.status)).map(|i| i.total()).sum();
        let paid: Decimal = live().map(|i| i.paid()).sum::<Decimal>()
            + sale.prepayments.iter().map(|p| p.amount).sum::<Decimal>();
        let credits = || {
            sale.credit_notes
                .iter()
                .filter(|c| c.status == Status::Authorised)
        };
        let credited: Decimal = credits().map(|c| c.total()).sum();
        let refunded: Decimal = credits().map(|c| c.refunded()).sum();
        let goods = sale.kind != Kind::Service;
        let auth = |s: Status| s == Status::Authorised;
        let pick = self.reach(sale, |f| auth(f.pick), |f| f.pick == Status::Draft);
        let pack = self.reach(sale, |f| auth(f.pack), |f| f.pack == Status::Draft);
        let ship = self.reach(
            sale,
            |f| auth(f.ship),
            |f| matches!(f.ship, Status::Draft | Status::PartiallyAuthorised),
        );
        let ordered = sale.order == Status::Authorised;
        let stage = |reach, set: [&'static str; 4]| match (sale.voided, goods && ordered) {
            (true, _) => "VOIDED",
            (_, false) => NONE,
            _ => words(reach, set),
        };
        let credit = match sale
            .credit_notes
            .iter()
            .filter(|c| c.status != Status::Voided)
            .map(|c| c.status)
            .max()
        {
            _ if sale.voided => "VOIDED",
            Some(status) => status.text(),
            None => NONE,
        };
        let restocked = credits().flat_map(|c| c.restock.iter()).next().is_some();
        let invoicing = self.invoicing(sale, invoiced, credited);
        let payment = match () {
            _ if sale.voided => "VOIDED",
            _ if !credited.is_zero() && paid - refunded > invoiced - credited => "NOT REFUNDED",
            _ if invoiced.is_zero() && !paid.is_zero() => "PREPAID",
            _ if !invoiced.is_zero() && paid - refunded >= invoiced - credited => "PAID",
            _ if !paid.is_zero() => "PARTIALLY PAID",
            _ => "UNPAID",
        };
        Stages {
            status: self.overall(sale, pick, pack, ship, invoiced, credited, paid - refunded),
            picking: stage(
                pick,
                ["NOT PICKED", "PICKING", "PARTIALLY PICKED", "PICKED"],
            ),
            packing: stage(
                pack,
                ["NOT PACKED", "PACKING", "PARTIALLY PACKED", "PACKED"],
            ),
            shipping: stage(
                ship,
                ["NOT SHIPPED", "SHIPPING", "PARTIALLY SHIPPED", "SHIPPED"],
            ),
            fulfilment: stage(
                ship,
                [
                    "NOT FULFILLED",
                    "NOT FULFILLED",
                    "PARTIALLY FULFILLED",
                    "FULFILLED",
                ],
            ),
            invoicing,
            payment,
            credit,
            restock: if restocked { "AUTHORISED" } else { NONE },
            invoiced,
            credited,
            paid,
            refunded,
        }
    }

    fn invoicing(&self, sale: &Sale, invoiced: Decimal, credited: Decimal) -> &'static str {
        if sale.voided {
            return "VOIDED";
        }
        if sale.order != Status::Authorised {
            return NONE;
        }
        let order = super::sale::totals(&sale.lines, &sale.charges).2;
        let any = sale
            .invoices
            .iter()
            .any(|i| matches!(i.status, Status::Authorised | Status::Paid));
        match (any, invoiced >= order, credited.is_zero()) {
            (false, ..) => "NOT INVOICED",
            (_, true, true) => "INVOICED",
            (_, true, false) => "INVOICED / CREDITED",
            (_, false, true) => "PARTIALLY INVOICED",
            (_, false, false) => "PARTIALLY INVOICED / CREDITED",
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one input of the published table"
    )]
    fn overall(
        &self,
        sale: &Sale,
        pick: Reach,
        pack: Reach,
        ship: Reach,
        invoiced: Decimal,
        credited: Decimal,
        received: Decimal,
    ) -> &'static str {
        if sale.voided {
            return "VOIDED";
        }
        match sale.order {
            Status::NotAvailable if sale.quote == Status::Authorised || sale.skip_quote => {
                return "ESTIMATED";
            }
            Status::NotAvailable => return "ESTIMATING",
            Status::Draft => return "ORDERING",
            _ => {}
        }
        let settled = |s: Status| matches!(s, Status::Authorised | Status::Paid | Status::Voided);
        let billed = !sale.invoices.is_empty()
            && sale.invoices.iter().all(|i| settled(i.status))
            && !invoiced.is_zero();
        let free = sale.invoices.iter().any(|i| i.status == Status::Paid) && invoiced.is_zero();
        let balanced = received >= invoiced - credited;
        let delivered = ship == Reach::All || sale.kind == Kind::Service;
        if (billed || free) && balanced && delivered {
            return "COMPLETED";
        }
        let waiting = sale.lines.iter().any(|l| l.backorder > Decimal::ZERO);
        let base = if waiting { "BACKORDERED" } else { "ORDERED" };
        if sale.kind == Kind::Advanced {
            return base;
        }
        let drafting = sale.invoices.iter().any(|i| i.status == Status::Draft);
        match () {
            _ if billed && !credited.is_zero() => "CREDITED",
            _ if billed => "INVOICED",
            _ if drafting => "INVOICING",
            _ if matches!(ship, Reach::Begun | Reach::Part | Reach::All) => "SHIPPING",
            _ if pack == Reach::All => "PACKED",
            _ if pack != Reach::None => "PACKING",
            _ if pick == Reach::All => "PICKED",
            _ if pick != Reach::None => "PICKING",
            _ => base,
        }
    }
}
