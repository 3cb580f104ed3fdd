//! What must happen in one step at the server, each on one key: so it holds in a cluster, too. Scripts are sent
//! whole: a server that was just made master knows them at once, and no permission is needed to load any.
//!
//! A script that makes room is allowed to write afterwards also where memory is full: sessions can then be
//! ended and used, and only new ones are refused.

use redis::{Cmd, cmd};

/// Keeps a record, unless its name was ended a moment ago. KEYS: record. ARGV: content, milliseconds.
/// SECURITY: an end that met the index before the record was there must win over the sign-in under way.
pub(super) const PUT: &str = "\
if redis.call('GETRANGE', KEYS[1], 0, 1) == 'x' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Puts other content into a record that is there, and tells so. KEYS: record. ARGV: content, channel, news.
/// SECURITY: a process that stood still while others went on must not bring back old rights, or a spent token.
pub(super) const REPLACE: &str = "\
local marks = redis.call('GETRANGE', KEYS[1], 0, 29)
if #marks < 30 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[3])
local size = 30 + 32 * tonumber(string.sub(marks, 25, 25)) + tonumber(string.sub(marks, 26))
local renewals = redis.call('GETRANGE', KEYS[1], size, size + 9)
if tonumber(string.sub(ARGV[1], 1, 10)) <= (tonumber(renewals) or 0) then return 1 end
local head = redis.call('GETRANGE', KEYS[1], 0, size - 1)
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], head .. ARGV[1], 'PX', math.max(left, 1))
return 1";

/// Notes a use, which never moves back, and gives when the record is due now. KEYS: record. ARGV: the time in
/// 12 digits, seconds until it is due, seconds that it is kept beyond.
pub(super) const TOUCH: &str = "\
local marks = redis.call('GETRANGE', KEYS[1], 0, 29)
local at = tonumber(ARGV[1])
if #marks < 30 or tonumber(string.sub(marks, 1, 12)) >= at then return -1 end
local due = math.min(tonumber(string.sub(marks, 13, 24)), at + tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], math.max(due - at, 0) + tonumber(ARGV[3]))
redis.call('SETRANGE', KEYS[1], 0, ARGV[1])
return due";

/// Ends a record, leaves a tombstone, tells so, and gives its index names; nothing where none was there.
/// KEYS: record. ARGV: milliseconds of the tombstone, channel, news.
pub(super) const END: &str = "\
redis.call('PUBLISH', ARGV[2], ARGV[3])
local marks = redis.call('GETRANGE', KEYS[1], 0, 29)
local indexes = false
if #marks == 30 then
  indexes = redis.call('GETRANGE', KEYS[1], 30, 29 + 32 * tonumber(string.sub(marks, 25, 25)))
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 'x', 'PX', ARGV[1])
return indexes";

/// Removes a record that is over. Gives 0 where there is none, 1 and its index names where it was removed, or 2
/// and when it is due. KEYS: record. ARGV: now, unused since, seconds until it is due, channel, news.
pub(super) const SWEEP: &str = "\
local marks = redis.call('GETRANGE', KEYS[1], 0, 29)
if #marks < 30 then return {0, ''} end
local used, over = tonumber(string.sub(marks, 1, 12)), tonumber(string.sub(marks, 13, 24))
if over > tonumber(ARGV[1]) and used >= tonumber(ARGV[2]) then
  return {2, tostring(math.min(over, used + tonumber(ARGV[3])))}
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
local indexes = redis.call('GETRANGE', KEYS[1], 30, 29 + 32 * tonumber(string.sub(marks, 25, 25)))
redis.call('DEL', KEYS[1])
return {1, indexes}";

/// Gives a record's marks, index names and card, and nothing where none is there. KEYS: record.
pub(super) const HEAD: &str = "\
local marks = redis.call('GETRANGE', KEYS[1], 0, 29)
if #marks < 30 then return false end
local size = 30 + 32 * tonumber(string.sub(marks, 25, 25)) + tonumber(string.sub(marks, 26))
return redis.call('GETRANGE', KEYS[1], 0, size - 1)";

/// Adds a record to an index, forgets those that are past their end, and keeps the index as long as any record
/// in it. KEYS: index. ARGV: the record's name, its end, now, seconds to keep.
pub(super) const LIST: &str = "\
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
local kept = redis.call('TTL', KEYS[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], math.max(kept, tonumber(ARGV[4])))
return 1";

/// Puts down a note where no other lies. KEYS: note. ARGV: now, its end and mark and text, milliseconds.
pub(super) const PUT_NOTE: &str = "\
local lies = redis.call('GETRANGE', KEYS[1], 0, 27)
if #lies == 28 and lies ~= string.sub(ARGV[2], 1, 28) and tonumber(string.sub(lies, 1, 12)) > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// Takes a note up. KEYS: note. ARGV: now.
pub(super) const TAKE_NOTE: &str = "\
local note = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if note and tonumber(string.sub(note, 1, 12)) > tonumber(ARGV[1]) then return string.sub(note, 29) end
return false";

/// Takes a lock, or prolongs it for who has it. KEYS: lock. ARGV: holder, milliseconds.
pub(super) const LOCK: &str = "\
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Gives a lock back, where this holder has it. KEYS: lock. ARGV: holder.
pub(super) const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// A script with its key; arguments follow.
pub(super) fn script(text: &str, key: &str) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(1).arg(key);
    command
}
