//! Every interleaving of reads, fills, invalidations, outages and reconnects of two processes on one
//! store, up to a bound: none may answer a read with a value older than an invalidation that was
//! acknowledged before the read began.
//!
//! The model states the protocol, one step per message that the store executes. The mutants below each
//! leave one rule of it out, and the checker must find what goes wrong then: a model that cannot fail
//! would show nothing.

use stateright::{Checker, Model, Property};

const PROCESSES: usize = 2;
/// One write shows every race: before it, after it, and whatever straddles it.
const VERSION_MAX: u8 = 1;
const TOKEN_MAX: u8 = 3;
const FLIGHTS_MAX: [usize; PROCESSES] = [2, 1];

/// Which rule is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    /// A fill is written whether or not its lease still holds.
    LeaseCheck,
    /// A reader that joins after the fill was executed is given its value.
    ArrivalCheck,
    /// What was invalidated while the store was away is not replayed.
    Replay,
    /// An invalidation removes the value but not the lease.
    LeaseRemoval,
}

/// A load under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flight {
    /// The lease, if the store gave one.
    token: Option<u8>,
    /// What was acknowledged before its pilot asked.
    began: u8,
    /// What the database said.
    loaded: Option<u8>,
    /// Whether the fill was executed, and so confirmed.
    confirmed: bool,
    /// Whether the fill was sent, or given up.
    sent: bool,
    /// Whether later readers find it.
    known: bool,
    /// Joined before the fill was sent: what was acknowledged before.
    early: Option<u8>,
    /// Joined after it was sent.
    late: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Process {
    connected: bool,
    pending: bool,
    /// The newest version whose invalidation this process acknowledged.
    acknowledged: u8,
    /// Written to the database, not yet invalidated.
    written: Option<u8>,
    flights: Vec<Flight>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct World {
    database: u8,
    reachable: [bool; PROCESSES],
    value: Option<u8>,
    lease: Option<u8>,
    tokens: u8,
    /// The newest version whose invalidation was acknowledged as done everywhere.
    everywhere: u8,
    processes: [Process; PROCESSES],
    /// Fills that were given up by their senders and are still on their way.
    ghosts: Vec<(u8, u8)>,
    /// A read was answered with something older than it may be.
    wrong: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Read(usize),
    Load(usize, usize),
    Fill(usize, usize),
    /// The fill is sent, its sender loses patience, and it may arrive yet.
    FillLate(usize, usize),
    Land(usize, usize),
    Write(usize),
    Invalidate(usize),
    Cut(usize),
    Mend(usize),
    Reconnect(usize),
    GhostArrives,
    LeaseExpires,
    Wipe,
}

impl World {
    /// What a read by `process` that begins now must at least see.
    fn floor(&self, process: usize) -> u8 {
        self.everywhere.max(self.processes[process].acknowledged)
    }

    fn check(&mut self, answer: u8, began: u8) {
        self.wrong |= answer < began;
    }
}

impl Model for Without {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            reachable: [true; PROCESSES],
            ..World::default()
        };
        for process in &mut world.processes {
            process.connected = true;
        }
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (p, process) in world.processes.iter().enumerate() {
            if process.flights.len() < FLIGHTS_MAX[p] && world.tokens < TOKEN_MAX {
                steps.push(Step::Read(p));
            }
            for (f, flight) in process.flights.iter().enumerate() {
                match (flight.loaded, flight.sent) {
                    (None, _) => steps.push(Step::Load(p, f)),
                    (Some(_), false) => {
                        steps.push(Step::Fill(p, f));
                        if p == 0 && flight.token.is_some() && world.ghosts.is_empty() {
                            steps.push(Step::FillLate(p, f));
                        }
                    }
                    (Some(_), true) => steps.push(Step::Land(p, f)),
                }
            }
            match process.written {
                None if world.database < VERSION_MAX => steps.push(Step::Write(p)),
                None => {}
                Some(_) => steps.push(Step::Invalidate(p)),
            }
            if p == 0 {
                steps.push(if world.reachable[p] {
                    Step::Cut(p)
                } else {
                    Step::Mend(p)
                });
            }
            if !process.connected && world.reachable[p] {
                steps.push(Step::Reconnect(p));
            }
        }
        if !world.ghosts.is_empty() {
            steps.push(Step::GhostArrives);
        }
        if world.lease.is_some() {
            steps.push(Step::LeaseExpires);
        }
        if world.value.is_some() {
            steps.push(Step::Wipe);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Read(p) => self.read(&mut next, p)?,
            Step::Load(p, f) => next.processes[p].flights[f].loaded = Some(world.database),
            Step::Fill(p, f) => {
                let usable = next.reachable[p] && next.processes[p].connected;
                next.processes[p].flights[f].sent = true;
                let Flight { token, loaded, .. } = next.processes[p].flights[f];
                if let (Some(token), Some(version)) = (token, loaded) {
                    if usable {
                        let confirmed = self.execute(&mut next, token, version);
                        next.processes[p].flights[f].confirmed = confirmed;
                    } else {
                        next.processes[p].connected = false;
                    }
                }
            }
            Step::FillLate(p, f) => {
                let flight = &mut next.processes[p].flights[f];
                flight.sent = true;
                next.ghosts.push((flight.token?, flight.loaded?));
                next.processes[p].connected = false;
            }
            Step::Land(p, f) => {
                let flight = next.processes[p].flights.remove(f);
                let version = flight.loaded?;
                next.check(version, flight.began);
                if flight.confirmed {
                    if let Some(began) = flight.early {
                        next.check(version, began);
                    }
                    if let (Some(began), Without::ArrivalCheck) = (flight.late, self) {
                        next.check(version, began);
                    }
                }
            }
            Step::Write(p) => {
                next.database += 1;
                next.processes[p].written = Some(next.database);
            }
            Step::Invalidate(p) => self.invalidate(&mut next, p),
            Step::Cut(p) => next.reachable[p] = false,
            Step::Mend(p) => next.reachable[p] = true,
            Step::Reconnect(p) => {
                if next.processes[p].pending && *self != Without::Replay {
                    next.value = None;
                    next.lease = None;
                }
                next.processes[p].pending = false;
                next.processes[p].connected = true;
            }
            Step::GhostArrives => {
                let (token, version) = next.ghosts.remove(0);
                self.execute(&mut next, token, version);
            }
            Step::LeaseExpires => next.lease = None,
            Step::Wipe => {
                next.value = None;
                next.lease = None;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "no read is older than an acknowledged invalidation",
                |_, world: &World| !world.wrong,
            ),
            Property::sometimes("a hit is served", |_, world: &World| world.value == Some(1)),
            Property::sometimes("a fill is confirmed", |_, world: &World| {
                world
                    .processes
                    .iter()
                    .any(|p| p.flights.iter().any(|f| f.confirmed))
            }),
        ]
    }
}

impl Without {
    fn read(self, next: &mut World, p: usize) -> Option<()> {
        let began = next.floor(p);
        if let Some(flight) = next.processes[p]
            .flights
            .iter_mut()
            .find(|flight| flight.known)
        {
            // Joining twice tells nothing new.
            let slot = if flight.sent {
                &mut flight.late
            } else {
                &mut flight.early
            };
            return slot.replace(began).is_none().then_some(());
        }
        let mut token = None;
        if next.processes[p].connected {
            if !next.reachable[p] {
                next.processes[p].connected = false;
            } else if let Some(version) = next.value {
                next.check(version, began);
                return Some(());
            } else if next.lease.is_some() {
                // Another process loads: it waits.
                return None;
            } else {
                next.tokens += 1;
                token = Some(next.tokens);
                next.lease = token;
            }
        }
        next.processes[p].flights.push(Flight {
            token,
            began,
            loaded: None,
            confirmed: false,
            sent: false,
            known: true,
            early: None,
            late: None,
        });
        Some(())
    }

    /// The fill script, as the store runs it.
    fn execute(self, next: &mut World, token: u8, version: u8) -> bool {
        let held = next.lease == Some(token);
        if held || self == Without::LeaseCheck {
            next.value = Some(version);
            next.lease = None;
            return true;
        }
        false
    }

    fn invalidate(self, next: &mut World, p: usize) {
        let Some(version) = next.processes[p].written.take() else {
            return;
        };
        next.processes[p]
            .flights
            .iter_mut()
            .for_each(|flight| flight.known = false);
        if next.processes[p].connected && next.reachable[p] {
            next.value = None;
            if self != Without::LeaseRemoval {
                next.lease = None;
            }
            next.everywhere = next.everywhere.max(version);
        } else {
            next.processes[p].connected = false;
            next.processes[p].pending = true;
        }
        next.processes[p].acknowledged = next.processes[p].acknowledged.max(version);
    }
}

#[test]
fn no_interleaving_answers_with_less_than_was_acknowledged() {
    let checker = Without::Nothing.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 1_000);
    checker.assert_properties();
}

#[test]
fn every_rule_that_is_left_out_is_missed() {
    for mutant in [
        Without::LeaseCheck,
        Without::ArrivalCheck,
        Without::Replay,
        Without::LeaseRemoval,
    ] {
        let checker = mutant.checker().threads(2).spawn_bfs().join();
        let found = checker.discovery("no read is older than an acknowledged invalidation");
        let found = found.unwrap_or_else(|| panic!("without {mutant:?} nothing goes wrong"));
        println!("without {mutant:?}: {:?}", found.into_actions());
    }
}
