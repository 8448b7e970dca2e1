//! Which content a file had when it was last read, so that an unchanged file is not read again.
//!
//! Metadata only selects what to hash: an answer of this cache counts while size, both times, device and inode are
//! what they were, and only if no later write can have left them so. It is never the reason for an error: a cache
//! that can't be read is an empty one.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::fs::Stat;

use super::atomic_file::{self, Durability};
use crate::domain::asset::ContentHash;
use crate::domain::time::Timestamp;

/// What the system says about a file, as far as it tells one content from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which file it is.
    pub id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was last written, in nanoseconds since 1970. Anybody can set it.
    pub modified_ns: i64,
    /// When anything about it was last changed, in nanoseconds since 1970. Nobody can set it.
    pub changed_ns: i64,
}

/// Which file or folder it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The file system's device number.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
}

impl Stamp {
    /// The part of a `stat` that matters here.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            id: FileId::of(stat),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec.into()),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec.into()),
        }
    }

    /// The later of both times.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        to_timestamp(self.modified_ns.max(self.changed_ns))
    }

    /// The later of those times that do not lie after `now`, if there is any.
    #[must_use]
    pub fn newest_until(&self, now: Timestamp) -> Option<Timestamp> {
        let times = [to_timestamp(self.modified_ns), to_timestamp(self.changed_ns)];
        times.into_iter().filter(|time| *time <= now).max()
    }

    /// How far apart two writes must be to be told apart for sure.
    ///
    /// The kernel stamps files with the time of its last tick, at most 10 ms ago. A file system without
    /// fractions of a second (FAT counts in two seconds) shows itself by having none.
    #[must_use]
    pub const fn granularity(&self) -> Duration {
        const SECOND: i64 = 1_000_000_000;
        if self.modified_ns % SECOND == 0 && self.changed_ns % SECOND == 0 {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(20)
        }
    }

    /// Whether a write after the moment `read_at` could leave this very stamp behind.
    #[must_use]
    pub fn is_racy(&self, read_at: Timestamp) -> bool {
        self.newest() + self.granularity() >= read_at
    }
}

impl FileId {
    /// The part of a `stat` that says which file it is.
    #[must_use]
    pub const fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

fn nanoseconds(seconds: i64, fraction: i128) -> i64 {
    let whole = i128::from(seconds) * 1_000_000_000 + fraction;
    i64::try_from(whole).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX })
}

fn to_timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(nanoseconds.div_euclid(1_000_000))
}

/// What is known about a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Whether it is a git-LFS pointer rather than the media itself.
    pub lfs_pointer: bool,
}

/// The contents of all files that were read, by file.
#[derive(Debug, Default)]
pub struct HashCache {
    known: KnownFiles,
    generation: u8,
    changed: bool,
}

type KnownFiles = HashMap<FileId, Known, BuildHasherDefault<Neighbours>>;

/// 56 bytes, so that an entry and its key take 72.
#[derive(Debug)]
struct Known {
    modified_ns: i64,
    changed_ns: i64,
    size: u32,
    hash: [u8; 32],
    lfs_pointer: bool,
    seen: AtomicU8,
}

impl HashCache {
    /// Reads a cache. Whatever can't be read as one (absent, foreign, torn, of another version) is empty.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let known = read_file(path).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Self { known, generation: 0, changed: false }
    }

    /// Writes the cache if anything in it changed since it was read or written; tells whether it did.
    ///
    /// # Errors
    /// What the system said. Losing a cache costs reading files again, nothing else.
    pub fn save(&mut self, path: &Path) -> io::Result<bool> {
        if !self.changed {
            return Ok(false);
        }
        atomic_file::replace(path, &self.encode(), 0o600, Durability::Volatile)?;
        self.changed = false;
        Ok(true)
    }

    /// The content of the file that looks like this, if it is known; notes that the file is still there.
    #[must_use]
    pub fn get(&self, stamp: &Stamp) -> Option<Content> {
        let known = self.known.get(&stamp.id)?;
        known.seen.store(self.generation, Ordering::Relaxed);
        (u64::from(known.size) == stamp.size
            && known.modified_ns == stamp.modified_ns
            && known.changed_ns == stamp.changed_ns)
            .then_some(Content { hash: ContentHash(known.hash), lfs_pointer: known.lfs_pointer })
    }

    /// Remembers what was read at the moment `read_at`, unless a later write could look the same.
    pub fn insert(&mut self, stamp: &Stamp, content: Content, read_at: Timestamp) {
        let Ok(size) = u32::try_from(stamp.size) else { return };
        if stamp.is_racy(read_at) {
            self.changed |= self.known.remove(&stamp.id).is_some();
            return;
        }
        let known = Known {
            modified_ns: stamp.modified_ns,
            changed_ns: stamp.changed_ns,
            size,
            hash: content.hash.0,
            lfs_pointer: content.lfs_pointer,
            seen: AtomicU8::new(self.generation),
        };
        self.known.insert(stamp.id, known);
        self.changed = true;
    }

    /// Starts a look at every file there is; [`Self::forget_unseen`] ends it.
    pub fn begin_full_look(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Drops the files that were neither asked for nor remembered since [`Self::begin_full_look`].
    pub fn forget_unseen(&mut self) {
        let (before, generation) = (self.known.len(), self.generation);
        self.known.retain(|_, known| *known.seen.get_mut() == generation);
        self.changed |= self.known.len() != before;
        if self.known.capacity() > 4 * self.known.len() {
            self.known.shrink_to_fit();
        }
    }

    /// How many files are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.known.len() * RECORD + CHECKSUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(self.known.len() as u64).to_le_bytes());
        for (id, known) in &self.known {
            bytes.extend_from_slice(&id.device.to_le_bytes());
            bytes.extend_from_slice(&id.inode.to_le_bytes());
            bytes.extend_from_slice(&known.modified_ns.to_le_bytes());
            bytes.extend_from_slice(&known.changed_ns.to_le_bytes());
            bytes.extend_from_slice(&known.size.to_le_bytes());
            bytes.extend_from_slice(&known.hash);
            bytes.push(u8::from(known.lfs_pointer));
        }
        let checksum = ContentHash::of(&bytes);
        bytes.extend_from_slice(&checksum.0);
        bytes
    }
}

/// Hashes a device and an inode so that neighbouring inodes are neighbours in the table, too.
///
/// A scan asks for the files of a folder one after the other, and those have mostly been made together: with a
/// scattering hash each question waits for main memory, which costs more than all else that a scan adds to the
/// system's own work. It is fixed, so that a saved table is read back in its own order.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    device: u64,
    inode: u64,
}

impl Hasher for Neighbours {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.device = self.device.rotate_left(17) ^ self.inode;
        self.inode = value;
    }

    fn finish(&self) -> u64 {
        const BITS: u32 = 5;
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let block = (self.inode >> BITS) ^ self.device.wrapping_mul(ODD);
        let mixed = block.wrapping_mul(ODD);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(ODD);
        let mixed = mixed ^ (mixed >> 29);
        // The table takes a place from the lower bits, and a mark to tell neighbours apart from the upper seven.
        let place = ((mixed << BITS) | (self.inode & 31)) & (u64::MAX >> 7);
        let mark = (mixed >> 57) ^ self.inode;
        place | (mark << 57)
    }
}

/// The name of the format; the digit is its version.
const MAGIC: &[u8; 16] = b"mediakeep-hash-1";
const HEADER: usize = MAGIC.len() + 8;
const RECORD: usize = 8 + 8 + 8 + 8 + 4 + 32 + 1;
const CHECKSUM: usize = 32;
/// Three million files; a file larger than that is none of ours.
const BYTES_MAX: u64 = 256 << 20;

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let kind = std::fs::symlink_metadata(path)?;
    if !kind.is_file() || kind.len() > BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(kind.len()).unwrap_or(0) + 1);
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<KnownFiles> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
    let rest = body.strip_prefix(MAGIC)?;
    if ContentHash::of(body).0 != *checksum {
        return None;
    }
    let (count, records) = rest.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    if records.len() != count.checked_mul(RECORD)? {
        return None;
    }
    let mut known = KnownFiles::with_capacity_and_hasher(count, BuildHasherDefault::default());
    for record in records.chunks_exact(RECORD) {
        let (id, file) = decode_record(record)?;
        known.insert(id, file);
    }
    Some(known)
}

fn decode_record(record: &[u8]) -> Option<(FileId, Known)> {
    let (device, rest) = record.split_first_chunk()?;
    let (inode, rest) = rest.split_first_chunk()?;
    let (modified, rest) = rest.split_first_chunk()?;
    let (changed, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (hash, flag) = rest.split_first_chunk()?;
    let id = FileId { device: u64::from_le_bytes(*device), inode: u64::from_le_bytes(*inode) };
    let known = Known {
        modified_ns: i64::from_le_bytes(*modified),
        changed_ns: i64::from_le_bytes(*changed),
        size: u32::from_le_bytes(*size),
        hash: *hash,
        lfs_pointer: flag == [1],
        seen: AtomicU8::new(0),
    };
    Some((id, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    fn stamp(inode: u64) -> Stamp {
        Stamp {
            id: FileId { device: 7, inode },
            size: 100 + inode,
            modified_ns: 50 * SECOND_NS + 1,
            changed_ns: 60 * SECOND_NS + 1,
        }
    }

    fn content(seed: u64) -> Content {
        Content { hash: ContentHash::of(&seed.to_le_bytes()), lfs_pointer: seed % 2 == 1 }
    }

    fn later() -> Timestamp {
        Timestamp::from_unix_ms(100_000)
    }

    fn filled(count: u64) -> HashCache {
        let mut cache = HashCache::default();
        for inode in 0..count {
            cache.insert(&stamp(inode), content(inode), later());
        }
        cache
    }

    #[test]
    fn answers_only_while_nothing_about_the_file_changed() {
        let cache = filled(3);
        assert_eq!(cache.get(&stamp(1)), Some(content(1)));
        let base = stamp(1);
        let elsewhere = FileId { device: 8, ..base.id };
        for changed in [
            Stamp { size: 1, ..base },
            Stamp { modified_ns: base.modified_ns + 1, ..base },
            Stamp { changed_ns: base.changed_ns - 1, ..base },
            Stamp { id: elsewhere, ..base },
            Stamp { id: stamp(99).id, ..base },
        ] {
            assert_eq!(cache.get(&changed), None, "{changed:?}");
        }
    }

    #[test]
    fn content_that_could_have_changed_unseen_is_not_remembered() {
        let fine = 60 * SECOND_NS + 5_000_000;
        let coarse = 60 * SECOND_NS;
        // (modified, changed, read at in ms, remembered)
        let table = [
            (1, fine, 60_005, false),
            (1, fine, 60_025, false),
            (1, fine, 60_026, true),
            (fine, 1, 60_025, false),
            (fine, 1, 60_026, true),
            (coarse, coarse, 62_000, false),
            (coarse, coarse, 62_001, true),
            (coarse, fine, 60_026, true),
            (90 * SECOND_NS + 1, fine, 61_000, false),
        ];
        for (modified_ns, changed_ns, read_at, remembered) in table {
            let stamp = Stamp { modified_ns, changed_ns, ..stamp(1) };
            let mut cache = HashCache::default();
            cache.insert(&stamp, content(1), Timestamp::from_unix_ms(read_at));
            assert_eq!(cache.get(&stamp).is_some(), remembered, "{modified_ns} {changed_ns} {read_at}");
        }
    }

    #[test]
    fn survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hash-cache");
        assert!(filled(1_000).save(&path).unwrap());
        let mut loaded = HashCache::load(&path);
        assert_eq!(loaded.len(), 1_000);
        for inode in 0..1_000 {
            assert_eq!(loaded.get(&stamp(inode)), Some(content(inode)));
        }
        assert!(!loaded.save(&path).unwrap(), "nothing changed, so nothing is written");
    }

    #[test]
    fn whatever_is_not_a_cache_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hash-cache");
        assert!(HashCache::load(&path).is_empty(), "absent");
        assert!(HashCache::load(folder.path()).is_empty(), "a folder");
        let good = filled(10).encode();
        let put = |bytes: &[u8]| atomic_file::replace(&path, bytes, 0o600, Durability::Volatile).unwrap();
        put(&good);
        assert_eq!(HashCache::load(&path).len(), 10);
        for end in [0, 1, 15, 16, 24, 31, 56, good.len() / 2, good.len() - 1] {
            put(&good[..end]);
            assert!(HashCache::load(&path).is_empty(), "cut at {end}");
        }
        for at in 0..good.len() {
            let mut bent = good.clone();
            bent[at] ^= 0x10;
            put(&bent);
            assert!(HashCache::load(&path).is_empty(), "bent at {at}");
        }
        put(&[good.as_slice(), b"x"].concat());
        assert!(HashCache::load(&path).is_empty(), "longer than it says");
    }

    #[test]
    fn a_count_that_does_not_fit_is_refused_before_memory_is_taken() {
        let mut body = [MAGIC.as_slice(), &u64::MAX.to_le_bytes()].concat();
        let checksum = ContentHash::of(&body);
        body.extend_from_slice(&checksum.0);
        assert!(decode(&body).is_none());
    }

    #[test]
    fn files_that_are_gone_are_forgotten_after_a_full_look() {
        let mut cache = filled(10);
        cache.begin_full_look();
        for inode in 0..4 {
            assert!(cache.get(&stamp(inode)).is_some());
        }
        cache.insert(&stamp(20), content(20), later());
        cache.forget_unseen();
        assert_eq!(cache.len(), 5);
        assert!(cache.get(&stamp(20)).is_some() && cache.get(&stamp(5)).is_none());
    }

    #[test]
    fn inode_numbers_are_spread_however_a_file_system_deals_them_out() {
        use std::collections::HashSet;
        use std::hash::BuildHasher;
        let build = BuildHasherDefault::<Neighbours>::default();
        let deals = ["one after the other", "in groups", "far apart", "one on each device"];
        for how in deals {
            let id = |number: u64| match how {
                "one after the other" => FileId { device: 7, inode: number },
                "in groups" => FileId { device: 7, inode: (number / 100) * 8192 + number % 100 },
                "far apart" => FileId { device: 7, inode: number << 20 },
                _ => FileId { device: number, inode: 2 },
            };
            let hashes: Vec<_> = (0..100_000).map(|number| build.hash_one(id(number))).collect();
            let places: HashSet<_> = hashes.iter().map(|hash| hash % 131_072 / 16).collect();
            let marks: HashSet<_> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(places.len() > 4_000, "{how}: only {} of 8192 groups of places are used", places.len());
            assert!(marks.len() > 100, "{how}: only {} of 128 marks are used", marks.len());
        }
    }

    #[test]
    fn an_entry_takes_72_bytes() {
        assert_eq!(size_of::<(FileId, Known)>(), 72);
    }
}
