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
    /// Whether nobody serves these slots: the nodes hold the master for failed, or the whole cluster.
    pub(super) has_failed: bool,
}

/// What `CLUSTER SLOTS` answers: for each range its first and last slot, its master and its replicas.
pub(super) type Map = Vec<(u16, u16, Vec<Address>)>;

impl Range {
    /// All slots, of a server that is no cluster.
    pub(super) const fn whole(connected: usize, keeping_up: usize) -> Self {
        Self { first: 0, last: LAST, connected, keeping_up, has_failed: false }
    }

    /// How many slots these are.
    pub(super) fn len(&self) -> usize {
        (usize::from(self.last) + 1).saturating_sub(self.first.into())
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

/// Reads the answer. Nodes that do not say where they are, are where we asked.
pub(super) fn read(value: Value, asked: &str) -> Result<Map, Fault> {
    let rows: Vec<Vec<Value>> = lanes::read(value)?;
    rows.into_iter().map(|values| row(values, asked)).collect()
}

/// The slots of nodes that the others hold for failed, of what `CLUSTER NODES` answers.
pub(super) fn failed(nodes: &str) -> Vec<(u16, u16)> {
    let slots = |line: &str| -> Option<Vec<(u16, u16)>> {
        let mut fields = line.split(' ').skip(2);
        fields.next()?.split(',').find(|flag| *flag == "fail")?;
        let ranges = fields.skip(5).filter_map(|slots| {
            let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Some(ranges.collect())
    };
    nodes.lines().filter_map(slots).flatten().collect()
}

/// The ranges, and how many replicas each has.
pub(super) fn ranges(map: &Map, failed: &[(u16, u16)]) -> Vec<Range> {
    // Replicas that the nodes hold for failed are not named.
    let range = |(first, last, nodes): &(u16, u16, Vec<Address>)| {
        let replicas = nodes.len().saturating_sub(1);
        let has_failed = failed.iter().any(|(from, to)| from <= last && first <= to);
        Range { first: *first, last: *last, connected: replicas, keeping_up: replicas, has_failed }
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

fn row(row: Vec<Value>, asked: &str) -> Result<(u16, u16, Vec<Address>), Fault> {
    let mut row = row.into_iter();
    let mut number = || lanes::read::<u16>(row.next().ok_or(Fault::Unreadable)?);
    let (first, last) = (number()?, number()?);
    let nodes = row.map(|node| {
        let mut parts = lanes::read::<Vec<Value>>(node)?.into_iter();
        let mut part = || parts.next().ok_or(Fault::Unreadable);
        let host = lanes::read::<Option<String>>(part()?)?.filter(|host| !host.is_empty());
        Ok(Address { host: host.unwrap_or_else(|| asked.to_owned()), port: lanes::read(part()?)? })
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
    fn a_map_tells_masters_from_replicas_and_where_they_are_who_do_not_say_it() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::Nil, Value::Nil]);
        let named = |host: &str| Value::BulkString(host.into());
        let row = |first, last, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let map = read(
            Value::Array(vec![
                row(0, 8000, vec![node(named("a"), 1), node(Value::Nil, 2)]),
                row(8001, 16_383, vec![node(named(""), 3)]),
            ]),
            "asked",
        )
        .unwrap();
        let at = |host: &str, port| Address { host: host.into(), port };
        assert_eq!(nodes(&map), (vec![at("a", 1), at("asked", 3)], vec![at("asked", 2)]));
        let known = |failed: &[(u16, u16)]| {
            let ranges = ranges(&map, failed).into_iter();
            ranges.map(|range| (range.connected, range.has_failed)).collect::<Vec<_>>()
        };
        assert_eq!(known(&[]), [(1, false), (0, false)]);
        assert_eq!(known(&[(8001, 9000), (9002, 9002)]), [(1, false), (0, true)]);
        assert_eq!(known(&[(0, LAST)]), [(1, true), (0, true)]);
    }

    #[test]
    fn a_node_has_failed_that_the_others_hold_for_it_and_not_one_that_a_single_node_suspects() {
        let nodes = "\
a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-5460\n\
b 127.0.0.1:3@4,name master,fail - 1 2 3 disconnected 5461 5463-10922 [5462->-a]\n\
c 127.0.0.1:5@6 master,fail? - 1 2 3 connected 10923-16383\n\
d 127.0.0.1:7@8 slave,fail b 1 2 3 disconnected\n";
        assert_eq!(failed(nodes), [(5461, 5461), (5463, 10922)]);
    }
}
