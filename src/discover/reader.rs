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

/// What one thread reads with.
pub(super) struct Reader<'t> {
    root: &'t Path,
    /// The folder that is open, if the system has such a thing.
    folder: Option<(&'t str, Folder)>,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(root: &'t Path) -> Self {
        Self { root, folder: None, path: PathBuf::new(), buffer: Vec::new() }
    }

    /// The bytes of the file with this path below the root. Its size is not asked for first (one system call a file
    /// less), and the buffer only grows: clearing it for every file would cost more than reading.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read(&mut self, file: &'t str) -> io::Result<&[u8]> {
        let mut opened = self.open(file)?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize((self.buffer.len() * 2).max(BUFFER), 0);
            }
            match opened.read(&mut self.buffer[filled..]) {
                Ok(0) => return Ok(&self.buffer[..filled]),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn open(&mut self, file: &'t str) -> io::Result<File> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        if self.folder.as_ref().is_none_or(|f| f.0 != folder) {
            self.folder = Folder::open(self.at(folder)).map(|f| (folder, f));
        }
        match &self.folder {
            Some((_, f)) => f.file(name),
            None => File::open(self.at(file)),
        }
    }

    fn at(&mut self, below: &str) -> &Path {
        self.path.clear();
        self.path.push(self.root);
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
