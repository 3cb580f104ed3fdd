//! The list of records, page by page, in the order of their names: a shelf is read whole, as it is small, and
//! put in order here. So no record moves when it is used, and nothing is held between two pages.

use redis::cmd;

use super::changes::all;
use super::fault::Fault;
use super::lanes::{Lanes, read};
use super::layout::{self, Layout, SHELVES};
use super::scripts::{self, script};
use crate::sessions::store::{Cursor, Filed, IndexName, Page, RecordName};

/// How many shelves are read at a time.
const ABREAST: u16 = 64;

/// One page of all records, or of those under one index name.
pub(super) async fn page(
    layout: &Layout,
    lanes: &Lanes,
    after: Option<&Cursor>,
    index: Option<&IndexName>,
    limit: usize,
) -> Result<Page, Fault> {
    let after = match after.map(Cursor::name) {
        None => None,
        Some(Some(name)) => Some(name),
        Some(None) => return Ok(Page::default()),
    };
    let mut filed = Vec::new();
    if let Some(index) = index {
        let names = named(lanes, &layout.index(index)).await?;
        collect(layout, lanes, names, after.as_ref(), limit, &mut filed).await?;
    } else {
        let mut shelf = after.as_ref().map_or(0, layout::shelf_number);
        // A page that begins in a shelf seldom needs the next: only a store with few records has few on each.
        let mut abreast = 1;
        while shelf < SHELVES && filed.len() <= limit {
            let next = shelf.saturating_add(abreast).min(SHELVES);
            let keys: Vec<_> = (shelf..next).map(|number| layout.shelf(number)).collect();
            let names = all(keys.iter().map(|key| named(lanes, key)).collect()).await?.concat();
            collect(layout, lanes, names, after.as_ref(), limit, &mut filed).await?;
            (shelf, abreast) = (next, (abreast * 4).min(ABREAST));
        }
    }
    Ok(Page::cut(filed, limit, Cursor::after_name))
}

/// What a list shows of one record.
pub(super) async fn filed(layout: &Layout, lanes: &Lanes, name: RecordName) -> Result<Option<Filed>, Fault> {
    let key = layout.record(&name);
    let head: Option<Vec<u8>> = read(lanes.ask(&key, &script(scripts::HEAD, &key)).await?)?;
    Ok(head.and_then(|head| layout::filed(name, &head)))
}

/// Adds what the records of these names show, in their order, up to one more than the limit.
async fn collect(
    layout: &Layout,
    lanes: &Lanes,
    mut names: Vec<RecordName>,
    after: Option<&RecordName>,
    limit: usize,
    filed: &mut Vec<Filed>,
) -> Result<(), Fault> {
    names.retain(|name| after.is_none_or(|after| name > after));
    names.sort_unstable();
    let mut names = names.as_slice();
    while !names.is_empty() && filed.len() <= limit {
        let (now, later) = names.split_at((limit + 1 - filed.len()).min(names.len()));
        let reading = now.iter().map(|name| self::filed(layout, lanes, *name));
        filed.extend(all(reading.collect()).await?.into_iter().flatten());
        names = later;
    }
    Ok(())
}

/// The names that stand in a shelf or an index.
async fn named(lanes: &Lanes, key: &str) -> Result<Vec<RecordName>, Fault> {
    let names: Vec<Vec<u8>> = read(lanes.ask(key, cmd("ZRANGE").arg(key).arg(0).arg(-1)).await?)?;
    Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
}
