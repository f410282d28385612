//! [`Cache`]: decoded samples, the least recently used leaving first, within a number of bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::source::Prepared;

/// What a sample costs beside its pixels: keys, counters, allocations; rather too much than too little.
const OVERHEAD: usize = 256;

/// Source and sample.
type Key = (usize, usize);

/// A map with a limit on its bytes.
pub(super) struct Cache {
    limit: usize,
    bytes: usize,
    clock: u64,
    samples: HashMap<Key, (Arc<Prepared>, u64)>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, Key>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, clock: 0, samples: HashMap::new(), by_use: BTreeMap::new() }
    }

    /// The bytes held, never more than the limit.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&mut self, key: Key) -> Option<Arc<Prepared>> {
        let (prepared, used) = self.samples.get_mut(&key)?;
        self.clock += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.clock, key);
        *used = self.clock;
        Some(Arc::clone(prepared))
    }

    /// Keeps a sample, unless it alone is over the limit or another worker was faster.
    pub(super) fn insert(&mut self, key: Key, prepared: Arc<Prepared>) {
        let cost = cost(&prepared);
        if cost > self.limit || self.samples.contains_key(&key) {
            return;
        }
        while self.bytes > self.limit - cost {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((gone, _)) = self.samples.remove(&oldest) {
                self.bytes -= self::cost(&gone);
            }
        }
        self.clock += 1;
        self.bytes += cost;
        self.by_use.insert(self.clock, key);
        self.samples.insert(key, (prepared, self.clock));
    }
}

fn cost(prepared: &Prepared) -> usize {
    prepared.bytes().saturating_add(OVERHEAD)
}
