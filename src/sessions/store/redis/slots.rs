//! The map of a cluster: which master has which slots, and how many of its replicas are there.

use redis::Value;

use super::fault::Fault;
use super::lanes;
use super::settings::Address;

/// The last slot of a cluster.
pub(super) const LAST: u16 = 16_383;

/// The slots of one master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    /// How many of its replicas are connected.
    pub(super) connected: usize,
    /// How many of these keep up with it.
    pub(super) keeping_up: usize,
}

/// What `CLUSTER SLOTS` answers: for each range its first and last slot, its master and its replicas.
pub(super) type Map = Vec<(u16, u16, Vec<Address>)>;

impl Range {
    /// All slots, of a server that is no cluster.
    pub(super) const fn whole(connected: usize, keeping_up: usize) -> Self {
        Self { first: 0, last: LAST, connected, keeping_up }
    }

    pub(super) const fn holds(&self, slot: u16) -> bool {
        self.first <= slot && slot <= self.last
    }
}

/// The slot of a key (Redis Cluster specification, "Key distribution model" and "Hash tags").
pub(super) fn of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}').filter(|close| *close > 0)?;
        rest.get(..close)
    });
    let mut crc = 0_u16;
    for byte in tag.unwrap_or(key) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc & LAST
}

/// Reads the answer.
pub(super) fn read(value: Value) -> Result<Map, Fault> {
    let rows: Vec<Vec<Value>> = lanes::read(value)?;
    rows.into_iter().map(row).collect()
}

/// Whether each slot has a master.
pub(super) fn is_whole(map: &Map) -> bool {
    let held: u32 = map.iter().map(|(first, last, _)| 1 + u32::from(last.saturating_sub(*first))).sum();
    held == u32::from(LAST) + 1
}

/// The ranges, and how many replicas each has.
pub(super) fn ranges(map: &Map) -> Vec<Range> {
    // Replicas that the nodes hold for failed are not named.
    let range = |(first, last, nodes): &(u16, u16, Vec<Address>)| {
        let replicas = nodes.len().saturating_sub(1);
        Range { first: *first, last: *last, connected: replicas, keeping_up: replicas }
    };
    map.iter().map(range).collect()
}

/// All masters and all their replicas, each once.
pub(super) fn nodes(map: &Map) -> (Vec<Address>, Vec<Address>) {
    let once = |mut nodes: Vec<Address>| {
        nodes.sort();
        nodes.dedup();
        nodes
    };
    let masters = map.iter().filter_map(|(.., nodes)| nodes.first());
    let replicas = map.iter().flat_map(|(.., nodes)| nodes.iter().skip(1));
    (once(masters.cloned().collect()), once(replicas.cloned().collect()))
}

fn row(row: Vec<Value>) -> Result<(u16, u16, Vec<Address>), Fault> {
    let mut row = row.into_iter();
    let mut number = || lanes::read::<u16>(row.next().ok_or(Fault::Unreadable)?);
    let (first, last) = (number()?, number()?);
    let nodes = row.map(|node| {
        let mut parts = lanes::read::<Vec<Value>>(node)?.into_iter();
        let mut part = || parts.next().ok_or(Fault::Unreadable);
        Ok(Address { host: lanes::read(part()?)?, port: lanes::read(part()?)? })
    });
    Ok((first, last, nodes.collect::<Result<_, Fault>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_the_specification_gives_them() {
        for (key, slot) in [
            ("123456789", 0x31c3),
            ("foo", 12182),
            ("{user1000}.following", of(b"user1000")),
            ("foo{}{bar}", of(b"foo{}{bar}")),
            ("foo{{bar}}zap", of(b"{bar")),
            ("foo{bar}{zap}", of(b"bar")),
        ] {
            assert_eq!(of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn a_map_with_a_hole_is_not_whole() {
        let node = |port| Address { host: "h".into(), port };
        let mut map = vec![(0, 8000, vec![node(1), node(2)]), (8001, LAST, vec![node(3)])];
        assert!(is_whole(&map));
        assert_eq!(ranges(&map)[0].connected, 1);
        assert_eq!(nodes(&map), (vec![node(1), node(3)], vec![node(2)]));
        map[1].0 = 8002;
        assert!(!is_whole(&map));
    }
}
