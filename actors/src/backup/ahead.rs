// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Looks at folders and files a little ahead of the walker, with several threads: one thread alone waits for the kernel, or for a disk or a file server, at
//! every name.
//!
//! What was found is an offer. The walker decides alone what belongs to the backup, takes what is there, waits for what is under way, and does the rest itself;
//! an error is no offer, so that errors are met and told by the walker only. An offer that has grown old is thrown away: the time between looking at a file
//! and reading it must not depend on how long the folders before it took.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use duplicati_engine::{
    clock::{Clock, SystemClock},
    source::{DirectoryIdentity, DirectoryListing, EntryStat, EntryTypeHint, ListingBuffer, SourceDirectory},
};

/// Threads: enough to keep a disk or a file server busy, and on one core at least one that waits while the walk goes on.
const THREADS: RangeInclusive<usize> = 2..=4;
/// Folders asked for ahead of the present place in one folder.
const FOLDERS_MAX: usize = 4;
/// When so few are left, more are asked for: several at once, for each time somebody is woken costs as much as looking.
const FOLDERS_LOW: usize = 2;
/// Names that are looked at with one request.
const NAMES_MAX: usize = 128;
/// Names that share the time at which they were looked at.
const NAMES_TIMED: usize = 16;
/// Requests for names ahead of the present place in one folder.
const STRETCHES_MAX: usize = 3;
/// A folder of fewer names is not worth a request.
const NAMES_MIN: usize = 16;
/// Folders of more names are not listed ahead; their listing may be large.
const LISTED_NAMES_MAX: usize = 1024;
/// Folders on the way from the root for which something is asked ahead, so that descriptors and memory are bounded: 4 descriptors each.
const LEVELS_MAX: usize = 24;
/// What was seen longer ago is looked at again.
const AGE_MAX: Duration = Duration::from_secs(5);

/// A folder that was opened and listed ahead.
pub struct FoundFolder {
    pub folder: SourceDirectory,
    /// Of the open folder, before it was listed.
    pub stat: EntryStat,
    listing: DirectoryListing,
    stats: FoundStats,
}

impl FoundFolder {
    pub fn identity(&self) -> DirectoryIdentity {
        DirectoryIdentity {
            device: self.stat.device,
            inode: self.stat.inode,
        }
    }

    /// Whether it is not too old, and no name in it has come or gone since it was listed: a file that moves forward in the order of the walk is met by the walk,
    /// unless the folder that it moves to was listed before the one that it leaves.
    fn is_fresh(&self) -> bool {
        self.stats.is_fresh(0) && self.folder.stat_self().is_ok_and(|now| now == self.stat)
    }
}

/// Looks at names from some position on.
struct FoundStats {
    from: usize,
    /// None for a name that cannot be looked at, and for folders: what is a folder may be a mount, and who looks at it waits for whoever serves it.
    stats: Vec<Option<EntryStat>>,
    /// When each [`NAMES_TIMED`] were looked at.
    seen: Vec<Duration>,
}

impl FoundStats {
    fn is_fresh(&self, number: usize) -> bool {
        let now = SystemClock.monotonic();
        self.seen
            .get(number / NAMES_TIMED)
            .is_some_and(|seen| now.saturating_sub(*seen) < AGE_MAX)
    }
}

enum Work {
    Names {
        listing: Arc<DirectoryListing>,
        from: usize,
    },
    Folder {
        name: Vec<u8>,
    },
}

enum State {
    Waiting,
    UnderWay,
    Names(FoundStats),
    Folder(Box<FoundFolder>),
    Nothing,
}

struct Request {
    folder: Arc<SourceDirectory>,
    work: Work,
    state: Mutex<State>,
    changed: Condvar,
}

impl Request {
    fn new(folder: &Arc<SourceDirectory>, work: Work) -> Arc<Self> {
        Arc::new(Self {
            folder: Arc::clone(folder),
            work,
            state: Mutex::new(State::Waiting),
            changed: Condvar::new(),
        })
    }

    fn is_waiting(&self) -> bool {
        matches!(*lock(&self.state), State::Waiting)
    }

    /// What was found; nothing when nobody has begun.
    fn take(&self) -> State {
        let mut state = lock(&self.state);
        while matches!(*state, State::UnderWay) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::replace(&mut *state, State::Nothing)
    }

    fn carry_out(&self, ahead: &Ahead, buffer: &mut ListingBuffer) {
        {
            let mut state = lock(&self.state);
            if !matches!(*state, State::Waiting) {
                return;
            }
            *state = State::UnderWay;
        }
        // Whoever waits must go on even if this thread panics.
        let mut end = End {
            request: self,
            found: State::Nothing,
        };
        end.found = match &self.work {
            Work::Names { listing, from } => State::Names(ahead.look(&self.folder, listing, *from)),
            Work::Folder { name } => ahead
                .open(&self.folder, name, buffer)
                .map_or(State::Nothing, |found| State::Folder(Box::new(found))),
        };
    }
}

struct End<'a> {
    request: &'a Request,
    found: State,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *lock(&self.request.state) = std::mem::replace(&mut self.found, State::Nothing);
        self.request.changed.notify_all();
    }
}

/// What the walker and the threads that look ahead share.
#[derive(Default)]
pub struct Ahead {
    /// Requests of the folders on the way from the root to where the walk is, the nearest last.
    levels: Mutex<Vec<VecDeque<Arc<Request>>>>,
    added: Condvar,
    closed: AtomicBool,
}

impl Ahead {
    /// Starts the threads. They are a help and no part of the run: fewer of them, or none, only cost time, and one that waits for a dead disk keeps nobody from
    /// ending the run.
    pub fn start(self: &Arc<Self>) {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..threads.clamp(*THREADS.start(), *THREADS.end()) {
            let ahead = Arc::clone(self);
            let thread = std::thread::Builder::new().name("walker-ahead".to_owned());
            if thread.spawn(move || ahead.work()).is_err() {
                return;
            }
        }
    }

    /// Works for the walker until it is closed.
    fn work(&self) {
        let mut buffer = ListingBuffer::new();
        let mut levels = lock(&self.levels);
        while !self.closed.load(Ordering::Relaxed) {
            // The nearest folder first: its names are needed next.
            if let Some(request) = levels.iter_mut().rev().find_map(VecDeque::pop_front) {
                drop(levels);
                request.carry_out(self, &mut buffer);
                // It may hold the last descriptor of a folder, which takes time to close.
                drop(request);
                levels = lock(&self.levels);
            } else {
                levels = self.added.wait(levels).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Ends the threads; what nobody has begun is dropped.
    pub fn close(&self) {
        let mut levels = lock(&self.levels);
        self.closed.store(true, Ordering::Relaxed);
        levels.clear();
        drop(levels);
        self.added.notify_all();
    }

    /// Begins, or ends, a folder at this depth; what was asked for at this depth and below is over.
    pub fn enter(&self, depth: usize) {
        lock(&self.levels).truncate(depth);
    }

    fn add(&self, depth: usize, requests: Vec<Arc<Request>>) {
        let mut levels = lock(&self.levels);
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        if levels.len() <= depth {
            levels.resize_with(depth + 1, VecDeque::new);
        }
        let several = requests.len() > 1;
        let level = &mut levels[depth];
        // What the walk has passed meanwhile.
        level.retain(|request| request.is_waiting());
        level.extend(requests);
        drop(levels);
        self.added.notify_one();
        if several {
            self.added.notify_one();
        }
    }

    fn look(&self, folder: &SourceDirectory, listing: &DirectoryListing, from: usize) -> FoundStats {
        let mut found = FoundStats {
            from,
            stats: Vec::new(),
            seen: Vec::new(),
        };
        for position in from..listing.len().min(from + NAMES_MAX) {
            if found.stats.len().is_multiple_of(NAMES_TIMED) {
                if self.closed.load(Ordering::Relaxed) {
                    break;
                }
                found.seen.push(SystemClock.monotonic());
            }
            let stat = listing.get(position).and_then(|entry| match entry.hint {
                EntryTypeHint::Directory | EntryTypeHint::Unknown => None,
                _ => folder.stat(entry.name).ok(),
            });
            found.stats.push(stat);
        }
        found
    }

    fn open(&self, above: &SourceDirectory, name: &[u8], buffer: &mut ListingBuffer) -> Option<FoundFolder> {
        let folder = above.open_child_of_same_mount(name)?;
        let stat = folder.stat_self().ok()?;
        let seen = SystemClock.monotonic();
        let listing = folder.list_at_most(LISTED_NAMES_MAX, buffer).ok()??;
        let mut stats = self.look(&folder, &listing, 0);
        // The folder itself is as old as its listing, also when it is empty.
        match stats.seen.first_mut() {
            Some(first) => *first = seen,
            None => stats.seen.push(seen),
        }
        Some(FoundFolder {
            folder,
            stat,
            listing,
            stats,
        })
    }
}

/// What is asked ahead, and was found, in one folder.
pub struct FolderAhead {
    depth: usize,
    listing: Arc<DirectoryListing>,
    found: Option<FoundStats>,
    stretches: VecDeque<(usize, Arc<Request>)>,
    next_stretch: usize,
    folders: VecDeque<(usize, Arc<Request>)>,
    next_folder: usize,
}

impl FolderAhead {
    /// For a folder at this depth.
    pub fn new(depth: usize, listing: DirectoryListing) -> Self {
        Self {
            depth,
            listing: Arc::new(listing),
            found: None,
            stretches: VecDeque::new(),
            next_stretch: 0,
            folders: VecDeque::new(),
            next_folder: 0,
        }
    }

    /// For a folder that was itself found ahead.
    pub fn of_found(depth: usize, found: FoundFolder) -> (SourceDirectory, Self) {
        let mut ahead = Self::new(depth, found.listing);
        ahead.next_stretch = found.stats.stats.len();
        ahead.found = Some(found.stats);
        (found.folder, ahead)
    }

    /// The names.
    pub fn listing(&self) -> &DirectoryListing {
        &self.listing
    }

    /// Asks for what comes at this position and soon after it. `enters` says whether the walk will go into a folder of this name.
    pub fn ask(
        &mut self,
        ahead: &Ahead,
        folder: &Arc<SourceDirectory>,
        position: usize,
        mut enters: impl FnMut(&[u8]) -> bool,
    ) {
        if self.depth >= LEVELS_MAX {
            return;
        }
        let mut requests = Vec::new();
        while self.folders.front().is_some_and(|(at, _)| *at < position) {
            self.folders.pop_front();
        }
        self.next_folder = self.next_folder.max(position + 1);
        if self.folders.len() <= FOLDERS_LOW {
            while self.folders.len() < FOLDERS_MAX
                && let Some(entry) = self.listing.get(self.next_folder)
            {
                if entry.hint == EntryTypeHint::Directory && enters(entry.name) {
                    let name = entry.name.to_vec();
                    let request = Request::new(folder, Work::Folder { name });
                    self.folders.push_back((self.next_folder, Arc::clone(&request)));
                    requests.push(request);
                }
                self.next_folder += 1;
            }
        }
        while self
            .stretches
            .front()
            .is_some_and(|(from, _)| from + NAMES_MAX <= position)
        {
            self.stretches.pop_front();
        }
        self.next_stretch = self.next_stretch.max(position);
        while self.stretches.len() < STRETCHES_MAX && self.next_stretch + NAMES_MIN <= self.listing.len() {
            let work = Work::Names {
                listing: Arc::clone(&self.listing),
                from: self.next_stretch,
            };
            let request = Request::new(folder, work);
            self.stretches
                .push_back((self.next_stretch, Arc::clone(&request)));
            requests.push(request);
            self.next_stretch += NAMES_MAX;
        }
        if !requests.is_empty() {
            ahead.add(self.depth, requests);
        }
    }

    /// What the name at this position was seen to be, a moment ago; never a folder.
    pub fn stat(&mut self, position: usize) -> Option<EntryStat> {
        while let Some((from, request)) = self.stretches.front()
            && *from <= position
        {
            if let State::Names(found) = request.take() {
                self.found = Some(found);
            }
            self.stretches.pop_front();
        }
        let found = self.found.as_ref()?;
        let number = position.checked_sub(found.from)?;
        let stat = *found.stats.get(number)?;
        stat.filter(|_| found.is_fresh(number))
    }

    /// The folder at this position, if it was opened and listed a moment ago and has not changed since.
    pub fn folder(&mut self, position: usize) -> Option<FoundFolder> {
        while self.folders.front().is_some_and(|(at, _)| *at < position) {
            self.folders.pop_front();
        }
        if self.folders.front()?.0 != position {
            return None;
        }
        match self.folders.pop_front()?.1.take() {
            State::Folder(found) if found.is_fresh() => Some(*found),
            _ => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets threads work until all that was asked for is done.
    fn carry_out(ahead: &Ahead) {
        let mut buffer = ListingBuffer::new();
        while let Some(request) = { lock(&ahead.levels).iter_mut().rev().find_map(VecDeque::pop_front) } {
            request.carry_out(ahead, &mut buffer);
        }
    }

    struct Place {
        folder: tempfile::TempDir,
        open: Arc<SourceDirectory>,
        here: FolderAhead,
    }

    fn place(files: usize, folders: usize) -> Place {
        let folder = tempfile::tempdir().unwrap();
        for file in 0..files {
            std::fs::write(folder.path().join(format!("{file:04}-file")), vec![0; file]).unwrap();
        }
        for number in 0..folders {
            let below = folder.path().join(format!("{number:04}-folder"));
            std::fs::create_dir(&below).unwrap();
            std::fs::write(below.join("inside"), b"12345").unwrap();
        }
        let open = SourceDirectory::open(folder.path()).unwrap();
        let here = FolderAhead::new(0, open.list(&mut ListingBuffer::new()).unwrap());
        let open = Arc::new(open);
        Place { folder, open, here }
    }

    #[test]
    fn what_is_found_ahead_is_what_the_walk_finds_itself() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(500, 3);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |_| true);
        carry_out(&ahead);
        let listing = Arc::clone(&here.listing);
        for position in 0..STRETCHES_MAX * NAMES_MAX {
            let entry = listing.get(position).unwrap();
            let expected = open.stat(entry.name).unwrap();
            if entry.hint == EntryTypeHint::Directory {
                assert!(here.stat(position).is_none(), "a folder may be a mount");
                let found = here.folder(position).unwrap();
                assert_eq!(found.stat, expected);
                assert_eq!(found.identity(), found.folder.identity().unwrap());
                let (_, mut below) = FolderAhead::of_found(1, found);
                assert_eq!(below.listing().get(0).unwrap().name, b"inside");
                assert_eq!(below.stat(0).unwrap().size, 5);
            } else {
                assert_eq!(here.stat(position).unwrap(), expected);
            }
        }
        assert!(here.stat(STRETCHES_MAX * NAMES_MAX).is_none());
    }

    #[test]
    fn what_nobody_has_begun_is_left_to_the_walk() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(100, 1);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |_| true);
        assert!((0..101).all(|position| here.stat(position).is_none() && here.folder(position).is_none()));
        // Nor does it come later, when nobody waits for it.
        carry_out(&ahead);
        assert!((0..101).all(|position| here.stat(position).is_none() && here.folder(position).is_none()));
    }

    #[test]
    fn what_was_seen_long_ago_is_looked_at_again() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(100, 2);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |_| true);
        carry_out(&ahead);
        let long_ago = |found: &mut FoundStats| {
            for seen in &mut found.seen {
                // The clock of a process begins at zero.
                *seen = (SystemClock.monotonic() + AGE_MAX * 2).saturating_sub(AGE_MAX * 2);
                *seen = seen.saturating_sub(AGE_MAX);
            }
        };
        for (_, request) in here.stretches.iter().chain(&here.folders) {
            match &mut *lock(&request.state) {
                State::Names(found) => long_ago(found),
                State::Folder(found) => long_ago(&mut found.stats),
                _ => panic!("it was carried out"),
            }
        }
        while SystemClock.monotonic() < AGE_MAX {
            std::thread::yield_now();
        }
        assert!((0..102).all(|position| here.stat(position).is_none() && here.folder(position).is_none()));
    }

    #[test]
    fn a_folder_to_which_something_moves_after_it_was_listed_is_listed_again() {
        let Place {
            folder,
            open,
            mut here,
        } = place(0, 3);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |_| true);
        carry_out(&ahead);
        std::fs::rename(
            folder.path().join("0000-folder/inside"),
            folder.path().join("0002-folder/moved"),
        )
        .unwrap();
        assert!(here.folder(1).is_some());
        assert!(here.folder(2).is_none());
    }

    #[test]
    fn another_folder_that_took_the_name_has_its_own_metadata() {
        let Place {
            folder,
            open,
            mut here,
        } = place(0, 2);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |_| true);
        carry_out(&ahead);
        let before = open.stat(b"0001-folder").unwrap();
        std::fs::rename(folder.path().join("0001-folder"), folder.path().join("0001-old")).unwrap();
        std::fs::create_dir(folder.path().join("0001-folder")).unwrap();
        // What is offered, if anything, is all of the old one.
        assert!(
            here.folder(1)
                .is_none_or(|found| found.stat.inode == before.inode)
        );
    }

    #[test]
    fn folders_that_the_walk_will_not_enter_are_not_opened() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(0, 3);
        let ahead = Ahead::default();
        here.ask(&ahead, &open, 0, |name| name != b"0001-folder");
        carry_out(&ahead);
        // The present name is the walk's own.
        assert!(here.folder(0).is_none());
        assert!(here.folder(1).is_none());
        assert!(here.folder(2).is_some());
    }

    #[test]
    fn only_so_much_is_asked_ahead() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(1000, 50);
        let ahead = Ahead::default();
        for position in 0..here.listing().len() {
            here.ask(&ahead, &open, position, |_| true);
            assert!(here.stretches.len() <= STRETCHES_MAX && here.folders.len() <= FOLDERS_MAX);
            // The walk does not wait, and does it all itself.
            let _ = (here.stat(position), here.folder(position));
            assert!(lock(&ahead.levels)[0].len() <= 2 * (STRETCHES_MAX + FOLDERS_MAX));
        }
        let mut deep = FolderAhead::new(LEVELS_MAX, open.list(&mut ListingBuffer::new()).unwrap());
        deep.ask(&ahead, &open, 0, |_| true);
        assert!(deep.stretches.is_empty() && deep.folders.is_empty());
    }

    #[test]
    fn threads_end_when_the_walk_does() {
        let Place {
            folder: _kept,
            open,
            mut here,
        } = place(300, 3);
        let ahead = Arc::new(Ahead::default());
        ahead.start();
        here.ask(&ahead, &open, 0, |_| true);
        ahead.close();
        // Each thread holds the state that is shared.
        while Arc::strong_count(&ahead) > 1 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_panic_while_looking_leaves_nobody_waiting() {
        let Place {
            folder: _kept,
            open,
            here,
        } = place(1, 0);
        let listing = Arc::clone(&here.listing);
        let request = Request::new(&open, Work::Names { listing, from: 0 });
        *lock(&request.state) = State::UnderWay;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _end = End {
                request: &request,
                found: State::Nothing,
            };
            panic!("while looking");
        }));
        assert!(panicked.is_err());
        assert!(matches!(request.take(), State::Nothing));
    }
}
