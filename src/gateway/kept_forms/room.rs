//! How much is kept at a time, of one client and of all: what has arrived of forms that are still being sent, and the
//! forms that wait for their senders.
//!
//! It counts bytes and holds none. A form that waits is counted until it is sent on by this process or ends.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::foundation::clock::Timestamp;
use crate::gateway::waiting::household;
use crate::sessions::Whose;

/// The most bytes at a time: three quarters of what a store keeps aside in this process's memory.
const MOST: usize = 48 << 20;

/// The most of them where only strangers' forms have come.
///
/// SECURITY: three addresses of somebody who was never here must not keep the forms of those who were from being kept.
const OF_STRANGERS: usize = MOST / 2;

/// The most bytes of one client's address: a class sends its exams from one.
const OF_ONE_CLIENT: usize = 16 << 20;

/// What a form counts besides its bytes.
const EACH: usize = 1024;

/// Whose form asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// Somebody whose browser still has the cookie of a session.
    Known,
    /// Anybody.
    Stranger,
}

impl Writer {
    /// The one of whom so much is known.
    pub(super) const fn of(whose: Option<Whose>) -> Self {
        if whose.is_some() { Self::Known } else { Self::Stranger }
    }

    const fn most(self) -> usize {
        match self {
            Self::Known => MOST,
            Self::Stranger => OF_STRANGERS,
        }
    }
}

/// The name that a form is counted under.
pub(super) type Name = [u8; 32];

/// Who has how much.
#[derive(Debug, Default)]
pub struct Room(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    by_client: HashMap<IpAddr, usize>,
    waiting: HashMap<Name, (IpAddr, usize, Timestamp)>,
    by_end: BTreeSet<(Timestamp, Name)>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The room of one form that arrives; given up when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'r> {
    room: &'r Room,
    client: IpAddr,
    writer: Writer,
    bytes: usize,
}

impl Room {
    /// Room for a form of a client that is about to arrive.
    pub(super) fn enter(&self, client: IpAddr, writer: Writer, now: Timestamp) -> Result<Place<'_>, Full> {
        self.taken().forget_until(now);
        let mut place = Place { room: self, client: household(client), writer, bytes: 0 };
        place.grow(EACH)?;
        Ok(place)
    }

    /// Gives up the room of a form that was sent on.
    pub(super) fn leave(&self, name: &Name) {
        self.taken().leave(name);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Takes room for so many bytes more.
    ///
    /// SECURITY: as they arrive, and not as they are announced: who announces much and sends little takes little.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.room.taken().take(self.client, self.writer, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Lets the form wait under this name until then.
    pub(super) fn wait(mut self, name: Name, until: Timestamp) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut taken = self.room.taken();
        taken.by_end.insert((until, name));
        taken.waiting.insert(name, (self.client, bytes, until));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.taken().give(self.client, self.bytes);
        }
    }
}

impl Taken {
    fn take(&mut self, client: IpAddr, writer: Writer, bytes: usize) -> Result<(), Full> {
        let own = self.by_client.get(&client).copied().unwrap_or(0);
        if own + bytes > OF_ONE_CLIENT || self.bytes + bytes > writer.most() {
            return Err(Full);
        }
        self.by_client.insert(client, own + bytes);
        self.bytes += bytes;
        Ok(())
    }

    fn give(&mut self, client: IpAddr, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(own) = self.by_client.get_mut(&client) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.by_client.remove(&client);
            }
        }
    }

    fn leave(&mut self, name: &Name) {
        if let Some((client, bytes, until)) = self.waiting.remove(name) {
            self.by_end.remove(&(until, *name));
            self.give(client, bytes);
        }
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(&(until, name)) = self.by_end.first()
            && until <= now
        {
            self.leave(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::kept_forms::LARGEST_FORM;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn one_client_has_a_share_and_all_together_have_a_limit() {
        let room = Room::default();
        let mut places = Vec::new();
        for number in 0..3 {
            let mut place = room.enter(client(number), Writer::Known, NOW).unwrap();
            place.grow(OF_ONE_CLIENT - EACH).unwrap();
            assert_eq!(room.enter(client(number), Writer::Known, NOW).unwrap_err(), Full);
            places.push(place);
        }
        assert_eq!(room.enter(client(9), Writer::Known, NOW).unwrap_err(), Full, "all together");
        places.pop();
        assert!(room.enter(client(9), Writer::Known, NOW).is_ok());
        drop(places);
        assert_eq!(room.taken().bytes, 0);
        assert!(room.taken().by_client.is_empty());
    }

    #[test]
    fn strangers_leave_half_of_it_to_those_who_are_known() {
        let room = Room::default();
        let enter = |number, writer| room.enter(client(number), writer, NOW);
        let mut places: Vec<_> = [1, 2].map(|number| enter(number, Writer::Stranger).unwrap()).into();
        places[0].grow(OF_ONE_CLIENT - EACH).unwrap();
        places[1].grow(OF_STRANGERS - OF_ONE_CLIENT - EACH).unwrap();
        assert_eq!(places[1].grow(1), Err(Full));
        assert_eq!(enter(3, Writer::Stranger).unwrap_err(), Full);
        assert_eq!(enter(3, Writer::Known).unwrap().grow(LARGEST_FORM), Ok(()));
    }

    #[test]
    fn a_form_that_waits_takes_room_until_it_is_sent_on_or_ends() {
        let room = Room::default();
        for name in [1, 2] {
            let mut place = room.enter(client(1), Writer::Known, NOW).unwrap();
            place.grow(7 << 20).unwrap();
            place.wait([name; 32], Timestamp::from_secs(2000 + u64::from(name)));
        }
        let grown = |now| room.enter(client(1), Writer::Known, now).unwrap().grow(4 << 20);
        assert_eq!(grown(NOW), Err(Full));
        room.leave(&[2; 32]);
        room.leave(&[2; 32]);
        assert_eq!(grown(NOW), Ok(()));
        assert_eq!(room.taken().waiting.len(), 1);
        drop(room.enter(client(2), Writer::Known, Timestamp::from_secs(2001)));
        let taken = room.taken();
        assert_eq!((taken.bytes, taken.by_end.len()), (0, 0));
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_share() {
        let room = Room::default();
        let of = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let mut first = room.enter(of(1), Writer::Known, NOW).unwrap();
        first.grow(OF_ONE_CLIENT - EACH).unwrap();
        assert_eq!(room.enter(of(2), Writer::Known, NOW).unwrap_err(), Full);
    }

    #[test]
    fn the_largest_form_that_can_be_configured_finds_room() {
        let room = Room::default();
        assert_eq!(room.enter(client(1), Writer::Known, NOW).unwrap().grow(LARGEST_FORM), Ok(()));
    }
}
