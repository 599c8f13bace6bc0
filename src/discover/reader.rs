//! Reads the files of a tree one after the other into one buffer.
//!
//! Files come in the order of their paths, many of one folder behind each other: the folder is opened once and they are
//! opened relative to it, which spares the system the way down from the root for each. Of a pass over v6.12 that is a
//! fifth.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Size of the buffer; 99.9 % of the files of v6.12 fit.
const BUFFER: usize = 1 << 20;

/// A system that reads less than was asked for breaks off between pages, which are multiples of this; within one, the
/// file ends.
const PAGE: usize = 4096;

/// What one thread reads with.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The folder that is open, if the system has such a thing.
    folder: Option<(String, Folder)>,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Reader {
    /// The bytes of the file with this path below the root. Its size is not asked for first, nor is it read behind an
    /// end that shows (two system calls a file less), and the buffer only grows: clearing it for every file would cost
    /// more than reading.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read(&mut self, root: &Path, file: &str) -> io::Result<&[u8]> {
        let mut opened = self.open(root, file)?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize((self.buffer.len() * 2).max(BUFFER), 0);
            }
            match opened.read(&mut self.buffer[filled..]) {
                Ok(n) => {
                    filled += n;
                    if n == 0 || filled < self.buffer.len() && !filled.is_multiple_of(PAGE) {
                        return Ok(&self.buffer[..filled]);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Gives back what a large file needed: two tables of registers of v6.12 have 16 MB.
    pub(super) fn shrink(&mut self) {
        self.buffer.truncate(BUFFER);
        self.buffer.shrink_to(BUFFER);
    }

    fn open(&mut self, root: &Path, file: &str) -> io::Result<File> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        if self.folder.as_ref().is_none_or(|f| f.0 != folder) {
            self.folder = Folder::open(self.at(root, folder)).map(|f| (folder.to_owned(), f));
        }
        match &self.folder {
            Some((_, f)) => f.file(name),
            None => File::open(self.at(root, file)),
        }
    }

    fn at(&mut self, root: &Path, below: &str) -> &Path {
        self.path.clear();
        self.path.push(root);
        self.path.push(below);
        &self.path
    }
}

#[cfg(unix)]
mod folder {
    use rustix::fs::{Mode, OFlags, open, openat};
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    /// An open folder.
    #[derive(Debug)]
    pub(super) struct Folder(OwnedFd);

    impl Folder {
        pub(super) fn open(path: &Path) -> Option<Self> {
            open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok().map(Self)
        }
        pub(super) fn file(&self, name: &str) -> io::Result<File> {
            Ok(openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
        }
    }
}

#[cfg(not(unix))]
mod folder {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// There is no such thing.
    #[derive(Debug)]
    pub(super) enum Folder {}

    impl Folder {
        pub(super) fn open(_: &Path) -> Option<Self> {
            None
        }
        pub(super) fn file(&self, _: &str) -> io::Result<File> {
            match *self {}
        }
    }
}

use folder::Folder;
