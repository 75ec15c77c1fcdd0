//! Numbers ordered by when they are due: a binary heap that knows where each number stands, so that one can be moved or taken out.

/// Slots by due time, the earliest first. Eight bytes a slot, and four for its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: Vec<(u32, u32)>,
    /// Where each slot stands in the heap; `NOWHERE` when it is not in.
    place: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Queue {
    /// The earliest: when it is due, and which.
    pub fn first(&self) -> Option<(u32, u32)> {
        self.heap.first().copied()
    }

    pub fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<(u32, u32)>() + self.place.capacity() * size_of::<u32>()
    }

    /// Puts a slot in, or moves it.
    pub fn set(&mut self, slot: u32, due: u32) {
        let index = slot as usize;
        if index >= self.place.len() {
            self.place.resize(index + 1, NOWHERE);
        }
        let at = self.place[index];
        if at == NOWHERE {
            self.heap.push((due, slot));
            self.place[index] = (self.heap.len() - 1) as u32;
            self.up(self.heap.len() - 1);
        } else {
            let before = self.heap[at as usize].0;
            self.heap[at as usize].0 = due;
            if due < before {
                self.up(at as usize);
            } else {
                self.down(at as usize);
            }
        }
    }

    /// Takes a slot out, if it is in.
    pub fn remove(&mut self, slot: u32) {
        let Some(at) = self
            .place
            .get(slot as usize)
            .copied()
            .filter(|at| *at != NOWHERE)
        else {
            return;
        };
        let at = at as usize;
        self.place[slot as usize] = NOWHERE;
        let Some(last) = self.heap.pop() else { return };
        if at < self.heap.len() {
            self.heap[at] = last;
            self.place[last.1 as usize] = at as u32;
            self.up(at);
            self.down(self.place[last.1 as usize] as usize);
        }
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent] <= self.heap[at] {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
    }

    fn down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.place[self.heap[one].1 as usize] = one as u32;
        self.place[self.heap[other].1 as usize] = other as u32;
    }
}

#[cfg(test)]
mod tests;
