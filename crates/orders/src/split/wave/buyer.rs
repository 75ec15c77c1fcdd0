//! One order as a buyer: what it buys at prices, exactly.

use super::Mine;
use crate::split::single::{Grid, Plain};

/// The key of an offer whose units are never scarce.
pub(super) const AMPLE: usize = usize::MAX;
/// Largest fill whose units may have prices of their own.
pub(super) const FILL_MAX: i64 = 64;
/// Dearer than anything that can be had.
const NEVER: i128 = i128::MAX / 8;

/// One order. Costs are times [`super::TIMES`].
pub(super) struct Buyer {
    /// Index into the group.
    pub at: usize,
    open: Vec<i128>,
    wants: Vec<Want>,
    sets_max: u32,
    /// The locations bought from last: often again the best.
    last: u32,
}

/// One line.
struct Want {
    line: usize,
    fill: i64,
    offers: Vec<Offer>,
    /// Offers by price of a unit.
    cheapest: Vec<usize>,
    /// The fill's cost by set of offers, where units have prices of their own.
    table: Vec<i128>,
    has_curves: bool,
}

struct Offer {
    place: usize,
    units: i64,
    cost: i128,
    key: usize,
    /// The price of a unit, and of each number of units where these are no multiples.
    price: i128,
    curve: Option<Vec<i128>>,
}

/// (line, place, units), in order.
pub(super) type Takes = Vec<(usize, usize, i64)>;

/// What an order buys.
#[derive(Debug, Clone, Default)]
pub(super) struct Basket {
    /// Cost with and without prices.
    pub priced: i128,
    pub cost: i128,
    pub takes: Takes,
    /// (key, units) of what is scarce, in order of keys.
    pub scarce: Vec<(usize, i64)>,
}

impl Buyer {
    /// `key` tells the key of a line's offer at a place; `None` for no offer at all. `None` for an order that gets nothing.
    pub fn new(
        at: usize,
        plain: &Plain,
        fills: &[i64],
        key: impl Fn(usize, usize) -> Option<usize>,
    ) -> Option<Self> {
        let mut wants = Vec::new();
        for (line, (of, &fill)) in plain.lines.iter().zip(fills).enumerate() {
            if fill == 0 {
                continue;
            }
            let offers = of.offers.iter().filter_map(|&(place, units, cost)| {
                Some(Offer {
                    place,
                    units: units.min(fill),
                    cost: cost * super::TIMES,
                    key: key(line, place)?,
                    price: 0,
                    curve: None,
                })
            });
            wants.push(Want {
                line,
                fill,
                offers: offers.collect(),
                cheapest: Vec::new(),
                table: Vec::new(),
                has_curves: false,
            });
        }
        (!wants.is_empty()).then(|| Self {
            at,
            open: plain.open.iter().map(|cost| cost * super::TIMES).collect(),
            wants,
            sets_max: u32::try_from(plain.sets_max).unwrap_or(u32::MAX),
            last: 0,
        })
    }

    /// Line, offer and key of all that is scarce.
    pub fn keys(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let offers = self.wants.iter().enumerate().flat_map(|(w, want)| {
            let offers = want.offers.iter().enumerate();
            offers.map(move |(o, offer)| (w, o, offer.key))
        });
        offers.filter(|&(_, _, key)| key != AMPLE)
    }

    /// Whether lines are small enough for prices by number of units, and have one offer per place.
    pub fn takes_curves(&self) -> bool {
        self.wants.iter().all(|want| {
            let mut places: Vec<usize> = want.offers.iter().map(|offer| offer.place).collect();
            places.sort_unstable();
            places.dedup();
            want.fill <= FILL_MAX && places.len() == want.offers.len()
        })
    }

    /// The most units of an offer.
    pub fn most(&self, want: usize, offer: usize) -> usize {
        self.wants[want].offers[offer].units as usize
    }

    /// Sets the price of an offer's units: by the unit, or by how many.
    pub fn quote(&mut self, want: usize, offer: usize, price: i128, curve: Option<&[i128]>) {
        let offer = &mut self.wants[want].offers[offer];
        offer.price = price;
        offer.curve = curve.map(<[i128]>::to_vec);
    }

    /// Leaves no more of each key than `room`.
    pub fn shrink(&mut self, room: &[i64]) {
        for offer in self.wants.iter_mut().flat_map(|want| &mut want.offers) {
            if let Some(&room) = room.get(offer.key) {
                offer.units = offer.units.min(room);
            }
        }
    }

    /// What costs least; `None` when the fills cannot be had.
    pub fn buy(&mut self) -> Option<Basket> {
        self.wants.iter_mut().for_each(Want::prepare);
        let all = (1u32 << self.open.len()) - 1;
        let mut least = Vec::with_capacity(self.wants.len());
        for want in &self.wants {
            least.push(want.cost(all)?);
        }
        let total: i128 = least.iter().sum();
        // What is known of the lines seen, and the least that the others cost.
        let cost_of = |set: u32, opening: i128, limit: i128| -> Option<i128> {
            let mut cost = opening + total;
            for (want, least) in self.wants.iter().zip(&least) {
                cost += want.cost(set)? - least;
                if cost >= limit {
                    return None;
                }
            }
            Some(cost)
        };
        let mut best = (NEVER, 0u32);
        if self.last != 0 {
            let opening = places(self.last).map(|p| self.open[p]).sum();
            let again = cost_of(self.last, opening, NEVER);
            best = again.map_or(best, |cost| (cost, self.last));
        }
        let mut openings = vec![0i128; 1 << self.open.len()];
        for set in 1..=all {
            let opening =
                openings[(set & (set - 1)) as usize] + self.open[set.trailing_zeros() as usize];
            openings[set as usize] = opening;
            if set.count_ones() > self.sets_max || opening + total >= best.0 {
                continue;
            }
            if let Some(cost) = cost_of(set, opening, best.0) {
                best = (cost, set);
            }
        }
        self.last = best.1;
        (best.1 != 0).then(|| self.basket(best.0, best.1))
    }

    /// What a plan gives this order, as a basket.
    pub fn holding(&self, plain: &Plain, mine: &Mine) -> Basket {
        let mut basket = Basket::default();
        for (used, _) in mine {
            let Some(place) = plain.places.iter().position(|&loc| loc == used.loc) else {
                continue;
            };
            basket.cost += self.open[place];
            for want in &self.wants {
                let units = used.lines[want.line];
                let offer = want.offers.iter().find(|offer| offer.place == place);
                if let (Some(offer), 1..) = (offer, units) {
                    basket.cost += i128::from(units) * offer.cost;
                    basket.takes.push((want.line, place, units));
                    if offer.key != AMPLE {
                        basket.scarce.push((offer.key, units));
                    }
                }
            }
        }
        basket.takes.sort_unstable();
        basket.scarce.sort_unstable();
        basket
    }

    /// What is bought from `set`.
    fn basket(&self, priced: i128, set: u32) -> Basket {
        let mut takes = Vec::new();
        let mut scarce = Vec::new();
        let (mut cost, mut used) = (0, 0);
        for want in &self.wants {
            for (offer, units) in want.takes(set) {
                let offer = &want.offers[offer];
                takes.push((want.line, offer.place, units));
                cost += i128::from(units) * offer.cost;
                used |= 1 << offer.place;
                if offer.key != AMPLE {
                    scarce.push((offer.key, units));
                }
            }
        }
        cost += places(used).map(|p| self.open[p]).sum::<i128>();
        takes.sort_unstable();
        scarce.sort_unstable();
        Basket {
            priced,
            cost,
            takes,
            scarce,
        }
    }
}

impl Want {
    /// Sorts offers, or prices every set of them.
    fn prepare(&mut self) {
        self.has_curves = self.offers.iter().any(|offer| offer.curve.is_some());
        if !self.has_curves {
            self.cheapest.clear();
            self.cheapest.extend(0..self.offers.len());
            let offers = &self.offers;
            let price = |&o: &usize| (offers[o].cost + offers[o].price, offers[o].place, o);
            self.cheapest.sort_unstable_by_key(price);
            return;
        }
        let width = self.fill as usize + 1;
        self.table.clear();
        self.table.resize(width << self.offers.len(), NEVER);
        self.table[0] = 0;
        for set in 1..1usize << self.offers.len() {
            let offer = set.ilog2() as usize;
            let from = (set & !(1 << offer)) * width;
            for units in 0..width {
                let most = units.min(self.offers[offer].units as usize);
                let costs = (0..=most)
                    .map(|part| self.table[from + units - part] + self.offers[offer].cost_of(part));
                self.table[set * width + units] = costs.min().unwrap_or(NEVER).min(NEVER);
            }
        }
    }

    /// The offers of a set of places, as a set of offers.
    fn local(&self, set: u32) -> usize {
        let inside = |(o, offer): (usize, &Offer)| ((set >> offer.place & 1) as usize) << o;
        self.offers.iter().enumerate().map(inside).sum()
    }

    /// The fill's cost inside `set`; `None` when the offers there do not suffice.
    fn cost(&self, set: u32) -> Option<i128> {
        if self.has_curves {
            let at = self.local(set) * (self.fill as usize + 1) + self.fill as usize;
            return Some(self.table[at]).filter(|cost| *cost < NEVER);
        }
        let (mut left, mut cost) = (self.fill, 0);
        for offer in self.cheapest.iter().map(|&o| &self.offers[o]) {
            if set >> offer.place & 1 == 1 {
                let units = left.min(offer.units);
                cost += i128::from(units) * (offer.cost + offer.price);
                left -= units;
                if left == 0 {
                    return Some(cost);
                }
            }
        }
        None
    }

    /// (offer, units) that make up the cost.
    fn takes(&self, set: u32) -> Vec<(usize, i64)> {
        let mut takes = Vec::new();
        if self.has_curves {
            let width = self.fill as usize + 1;
            let (mut set, mut left) = (self.local(set), self.fill as usize);
            while set != 0 {
                let offer = set.ilog2() as usize;
                let rest = set & !(1 << offer);
                let most = left.min(self.offers[offer].units as usize);
                let cost = |part: usize| {
                    self.table[rest * width + left - part] + self.offers[offer].cost_of(part)
                };
                let part = (0..=most).min_by_key(|&part| cost(part)).unwrap_or(0);
                if part > 0 {
                    takes.push((offer, part as i64));
                }
                left -= part;
                set = rest;
            }
            return takes;
        }
        let mut left = self.fill;
        for &o in &self.cheapest {
            let offer = &self.offers[o];
            if left > 0 && set >> offer.place & 1 == 1 && offer.units > 0 {
                let units = left.min(offer.units);
                takes.push((o, units));
                left -= units;
            }
        }
        takes
    }
}

impl Offer {
    fn cost_of(&self, units: usize) -> i128 {
        let price = match &self.curve {
            Some(curve) => curve[units],
            None => self.price * units as i128,
        };
        self.cost * units as i128 + price
    }
}

impl Basket {
    /// Units by line and place.
    pub fn grid(&self, lines: usize, places: usize) -> Grid {
        let mut grid = vec![vec![0; places]; lines];
        for &(line, place, units) in &self.takes {
            grid[line][place] += units;
        }
        grid
    }

    /// Units taken of a key.
    pub fn taken(&self, key: usize) -> i64 {
        let at = self.scarce.binary_search_by_key(&key, |&(key, _)| key);
        at.map_or(0, |at| self.scarce[at].1)
    }
}

fn places(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |p| set >> p & 1 == 1)
}
