// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the walker does with paths that it is told not to look at: they stay as the parent snapshot has them.

use std::{os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use duplicati_engine::{
    format::tree::{EntryBody, TreeEntry},
    source::SourceDirectory,
};

use super::{
    batches::{FileTask, WalkItem},
    selection::Look,
    walker::Walker,
};
use crate::{error::RunError, events::Severity};

/// What to do when the version before cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfUnreadable {
    /// Leaving out what is not seen would lose it.
    Fail,
    /// What can be read is more than there would be otherwise.
    Tell,
}

impl Walker {
    /// What is asked of the present path. Without a parent there is nothing to stay as it was.
    pub(super) fn look(&self, on_the_way: bool) -> Look {
        match &self.options.selection {
            Some(selection) if self.parent.is_some() && !on_the_way => selection.look(&self.path),
            _ => Look::Here,
        }
    }

    /// The names in a folder of which only some paths below are looked at.
    pub(super) fn chosen_names(&self, known: Option<&TreeEntry>) -> Result<Vec<Vec<u8>>, RunError> {
        let mut names = match &self.options.selection {
            Some(selection) => selection.names_below(&self.path),
            None => Vec::new(),
        };
        if let (Some(tree), Some(EntryBody::Directory { content, .. })) =
            (&self.parent, known.map(|known| &known.body))
        {
            let mut folder = tree.folder(content);
            while let Some(entry) = tree.next(&mut folder)? {
                names.push(entry.name);
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Passes on the parent's entry at the present path, with everything below.
    pub(super) fn keep(&mut self, known: TreeEntry, otherwise: IfUnreadable) -> Result<(), RunError> {
        let Some(tree) = self.parent.clone() else {
            return Ok(());
        };
        let mut below = Vec::new();
        let mut next = Some(known);
        let length = self.path.len();
        loop {
            if let Some(mut entry) = next.take() {
                match &entry.body {
                    EntryBody::Directory { content, .. } => {
                        let folder = tree.folder(content);
                        entry.body = EntryBody::Directory {
                            content: Default::default(),
                            entries_below: 0,
                            bytes_below: 0,
                        };
                        self.push(WalkItem::Enter(Box::new(entry)), 0)?;
                        below.push((folder, self.path.len()));
                    }
                    EntryBody::File { content, .. } if !tree.is_whole(content) => self.read_again(entry)?,
                    _ => self.push(WalkItem::Ready(Box::new(entry)), 0)?,
                }
            }
            let Some((folder, path_length)) = below.last_mut() else {
                self.path.truncate(length);
                return Ok(());
            };
            self.path.truncate(*path_length);
            let entry = match tree.next(folder) {
                Err(_) if otherwise == IfUnreadable::Tell => {
                    // Why it cannot be read was told when it was found.
                    let message = "neither the folder nor what the version before has of it can be read in full, so this version lacks the rest of it";
                    self.monitor
                        .tell(Severity::Warning, "FolderLost", &self.path, message);
                    None
                }
                entry => entry?,
            };
            match entry {
                Some(entry) => {
                    self.path.push(b'/');
                    self.path.extend_from_slice(&entry.name);
                    // What was not named as changed stays as it was; what cannot be looked at must still obey the filters of today.
                    if otherwise == IfUnreadable::Fail || self.is_let_in(&entry) {
                        next = Some(entry);
                    }
                }
                None => {
                    below.pop();
                    self.push(WalkItem::Leave { drop_if_empty: false }, 0)?;
                }
            }
        }
    }

    /// Whether the filters of today let in what cannot be looked at.
    pub(super) fn is_let_in(&mut self, entry: &TreeEntry) -> bool {
        let filter = &self.options.filter;
        if filter.is_empty() {
            return true;
        }
        if !matches!(entry.body, EntryBody::Directory { .. }) {
            return filter.decide(&self.path).is_included();
        }
        self.path.push(b'/');
        let decision = filter.decide(&self.path);
        self.path.pop();
        decision.may_enter()
    }

    /// A file whose stored chunks are lost is read from the source although it was not asked for.
    fn read_again(&mut self, entry: TreeEntry) -> Result<(), RunError> {
        let folder_length = self.path.len().saturating_sub(entry.name.len() + 1);
        let folder_path: Arc<[u8]> = Arc::from(match &self.path[..folder_length] {
            b"" => &b"/"[..],
            path => path,
        });
        let opened = SourceDirectory::open(Path::new(std::ffi::OsStr::from_bytes(&folder_path)))
            .and_then(|folder| Ok((folder.stat(&entry.name)?, folder)));
        match opened {
            Ok((stat, folder)) => {
                let size = stat.size;
                let task = FileTask {
                    folder: Arc::new(folder),
                    folder_path,
                    name: entry.name,
                    stat,
                    known: true,
                    kept: None,
                    follow: false,
                };
                self.push(WalkItem::File(task), size)
            }
            Err(error) => {
                let path = self.path.clone();
                self.tell_error(&path, &error);
                Ok(())
            }
        }
    }

    /// Adds the files that are kept beside the tree.
    pub(super) fn push_control_files(&mut self) -> Result<(), RunError> {
        for path in self.options.control_files.clone() {
            self.push(WalkItem::ControlFile(path), 0)?;
        }
        Ok(())
    }
}
