//! The company's records, and how one is found from another.

use super::callbacks::Callbacks;
use super::kinds::{Field, Kind, Ty, kind, kinds};
use super::options::Options;
use crate::clock::Clock;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Members of a record but `id` and `_info`. A reference is kept as the id it names.
pub(crate) type Members = Map<String, Value>;

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub id: i64,
    pub members: Members,
    pub updated: Timestamp,
    pub updated_by: Arc<str>,
    pub entered: Timestamp,
    pub entered_by: Arc<str>,
}

/// The records of one kind, by id.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub rows: BTreeMap<i64, Row>,
    next: i64,
    children: HashMap<i64, BTreeSet<i64>>,
}

/// Everything that the company holds.
pub(crate) struct World {
    pub options: Options,
    pub clock: Clock,
    /// What links in records begin with: `http://127.0.0.1:1234/v4_6_release/apis/3.0`.
    pub base: String,
    pub tables: Vec<Table>,
    /// Scripted events played so far.
    pub ticks: u64,
    /// Chances drawn so far.
    pub drawn: u64,
    pub callbacks: Callbacks,
    /// How many more records may go because pages drift.
    pub drift_left: usize,
    /// The member on whose behalf the next write is made.
    pub actor: Arc<str>,
}

impl World {
    pub(crate) fn empty(options: Options, clock: Clock, base: String) -> World {
        World {
            options,
            clock,
            base,
            tables: kinds().iter().map(|_| Table::default()).collect(),
            ticks: 0,
            drawn: 0,
            callbacks: Callbacks::default(),
            drift_left: 0,
            actor: "System".into(),
        }
    }

    /// Now, in whole seconds, as the service stamps.
    pub(crate) fn now(&self) -> Timestamp {
        whole_second(self.clock.now())
    }

    pub(crate) fn table(&self, kind: &Kind) -> &Table {
        &self.tables[kind.at]
    }

    pub(crate) fn row(&self, kind: &Kind, id: i64) -> Option<&Row> {
        self.tables[kind.at].rows.get(&id)
    }

    pub(crate) fn row_mut(&mut self, kind: &Kind, id: i64) -> Option<&mut Row> {
        self.tables[kind.at].rows.get_mut(&id)
    }

    /// The ids of a kind, of one parent if it has one.
    pub(crate) fn ids(&self, kind: &Kind, parent: Option<i64>) -> Vec<i64> {
        let table = &self.tables[kind.at];
        match parent {
            None => table.rows.keys().copied().collect(),
            Some(parent) => table
                .children
                .get(&parent)
                .map(|ids| ids.iter().copied().collect())
                .unwrap_or_default(),
        }
    }

    /// Adds a record under the next id, stamped now by the actor.
    pub(crate) fn add(&mut self, kind: &Kind, members: Members) -> i64 {
        let now = self.now();
        self.add_at(kind, members, now, now)
    }

    /// Adds a record with stamps of its own.
    pub(crate) fn add_at(
        &mut self,
        kind: &Kind,
        members: Members,
        entered: Timestamp,
        updated: Timestamp,
    ) -> i64 {
        let (by, table) = (self.actor.clone(), &mut self.tables[kind.at]);
        table.next += 1;
        let id = table.next;
        if let Some(parent) = parent_of(kind, &members) {
            table.children.entry(parent).or_default().insert(id);
        }
        let row = Row {
            id,
            members,
            updated: whole_second(updated),
            updated_by: by.clone(),
            entered: whole_second(entered),
            entered_by: by,
        };
        table.rows.insert(id, row);
        id
    }

    /// Makes the next record of a kind have an id of at least `id`.
    pub(crate) fn next_id_from(&mut self, kind: &Kind, id: i64) {
        let next = &mut self.tables[kind.at].next;
        *next = (*next).max(id - 1);
    }

    /// Stamps a record as changed now by the actor.
    pub(crate) fn stamp(&mut self, kind: &Kind, id: i64) {
        let (now, by) = (self.now(), self.actor.clone());
        if let Some(row) = self.row_mut(kind, id) {
            row.updated = now;
            row.updated_by = by;
        }
    }

    /// Removes a record and what is below it.
    pub(crate) fn remove(&mut self, kind: &Kind, id: i64) -> Option<Row> {
        let table = &mut self.tables[kind.at];
        let row = table.rows.remove(&id)?;
        if let Some(parent) = parent_of(kind, &row.members)
            && let Some(ids) = table.children.get_mut(&parent)
        {
            ids.remove(&id);
        }
        for below in kinds() {
            if below.parent.is_some_and(|(parent, _)| parent == kind.name) {
                for child in self.ids(below, Some(id)) {
                    self.remove(below, child);
                }
            }
        }
        Some(row)
    }

    /// Whether any record refers to this one.
    pub(crate) fn is_used(&self, target: &Kind, id: i64) -> bool {
        let refers = |ty: &Ty, value: &Value| match ty {
            Ty::Ref(name, _) => *name == target.name && value.as_i64() == Some(id),
            Ty::Refs(name) if *name == target.name => value
                .as_array()
                .is_some_and(|ids| ids.iter().any(|one| one.as_i64() == Some(id))),
            _ => false,
        };
        kinds().iter().filter(|kind| !kind.embedded).any(|kind| {
            let fields: Vec<&Field> = kind
                .fields
                .iter()
                .filter(|field| matches!(&field.ty, Ty::Ref(name, _) | Ty::Refs(name) if *name == target.name))
                .filter(|field| kind.parent.is_none_or(|(parent, link)| parent != target.name || link != field.name))
                .collect();
            !fields.is_empty()
                && self.table(kind).rows.values().any(|row| {
                    fields.iter().any(|field| row.members.get(field.name).is_some_and(|value| refers(&field.ty, value)))
                })
        })
    }

    /// One part of a record's label: `name` of a contact is its first and last name.
    pub(crate) fn label(&self, kind: &Kind, row: &Row, part: &str) -> Option<Value> {
        if part == "id" {
            return Some(row.id.into());
        }
        let (_, from) = kind.label.iter().find(|(name, _)| *name == part)?;
        if let [one] = from.as_slice() {
            let value = row.members.get(*one)?;
            // Where a number serves as name, a reference carries it as text.
            return Some(match value {
                Value::Number(number) if part == "name" => number.to_string().into(),
                value => value.clone(),
            });
        }
        let parts = from
            .iter()
            .filter_map(|name| row.members.get(*name)?.as_str());
        Some(parts.collect::<Vec<_>>().join(" ").into())
    }

    /// The id that a member refers to.
    pub(crate) fn link(&self, kind: &Kind, id: i64, member: &str) -> Option<i64> {
        self.row(kind, id)?.members.get(member)?.as_i64()
    }

    /// The record whose label part equals `text`, without regard to case.
    pub(crate) fn find_by(&self, kind: &Kind, part: &str, text: &str) -> Option<i64> {
        self.table(kind)
            .rows
            .values()
            .find(|row| {
                self.label(kind, row, part).is_some_and(|value| {
                    value
                        .as_str()
                        .is_some_and(|value| value.eq_ignore_ascii_case(text))
                })
            })
            .map(|row| row.id)
    }

    /// Whether a status is one of the closed.
    pub(crate) fn flag(&self, of: &str, id: Option<i64>, flag: &str) -> bool {
        let row = id.and_then(|id| self.row(kind(of), id));
        row.and_then(|row| row.members.get(flag)?.as_bool())
            .unwrap_or(false)
    }
}

/// The record that a record of this kind belongs to.
pub(crate) fn parent_of(kind: &Kind, members: &Members) -> Option<i64> {
    members.get(kind.parent?.1)?.as_i64()
}

pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
