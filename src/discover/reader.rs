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
                // Of a large file the size is asked for: to double the buffer would clear 32 MB for one of 17.
                let size = if filled == 0 { 0 } else { opened.metadata()?.len() };
                let size = usize::try_from(size).unwrap_or(0).saturating_add(1);
                self.buffer.resize(size.max(filled + BUFFER), 0);
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

    /// As [`Reader::read`]; but what is larger than the buffer goes to `piece` in pieces of whole lines, one after the
    /// other, and only if that asks for all is it read whole. `None` when it does not.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read_pieces(
        &mut self,
        root: &Path,
        file: &str,
        piece: &mut dyn FnMut(&[u8]) -> bool,
    ) -> io::Result<Option<&[u8]>> {
        let mut opened = self.open(root, file)?;
        self.buffer.resize(self.buffer.len().max(BUFFER), 0);
        // Bytes of the file that were read, and how many of them are in the buffer.
        let (mut read, mut filled) = (0usize, 0);
        loop {
            let n = match opened.read(&mut self.buffer[filled..BUFFER]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                n => n?,
            };
            (read, filled) = (read + n, filled + n);
            let ends = n == 0 || filled < BUFFER && !read.is_multiple_of(PAGE);
            if ends && read == filled {
                return Ok(Some(&self.buffer[..filled]));
            }
            if !ends && filled < BUFFER {
                continue;
            }
            let lines = match ends {
                true => filled,
                false => memchr::memrchr(b'\n', &self.buffer[..filled]).map_or(0, |at| at + 1),
            };
            if !ends && lines == 0 || piece(&self.buffer[..lines]) {
                return self.read(root, file).map(Some);
            }
            if ends {
                return Ok(None);
            }
            self.buffer.copy_within(lines..filled, 0);
            filled -= lines;
        }
    }

    /// Gives back what a large file needed: tables of registers of v6.12 have up to 24 MB.
    pub(super) fn shrink(&mut self) {
        if self.buffer.len() > BUFFER {
            self.buffer = Vec::new();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a file as they come in pieces, and what is returned.
    fn pieces(text: &[u8], whole_at: usize) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.h"), text).unwrap();
        let mut got = Vec::new();
        let mut reader = Reader::default();
        let whole = reader
            .read_pieces(dir.path(), "a.h", &mut |p| {
                got.push(p.to_vec());
                got.len() > whole_at
            })
            .unwrap()
            .map(<[u8]>::to_vec);
        (got, whole)
    }

    #[test]
    fn a_large_file_comes_in_lines_and_a_small_one_at_once() {
        let line = b"#define REGISTER 1234567890\n";
        for more in [&b""[..], b"the end", &[b'\n'; 3 * PAGE]] {
            let text = [&line.repeat(3 * BUFFER / line.len()), more].concat();
            let (got, whole) = pieces(&text, usize::MAX);
            assert!(got.len() >= 3 && got.concat() == text && whole.is_none());
            assert!(got[..got.len() - 1].iter().all(|p| p.ends_with(b"\n")));
            let (got, whole) = pieces(&text, 1);
            assert!(got.len() == 2 && whole.as_deref() == Some(&text));
        }
        assert_eq!(pieces(line, 0), (Vec::new(), Some(line.to_vec())));
        let exact = line.repeat(BUFFER)[..BUFFER].to_vec();
        assert_eq!(pieces(&exact, usize::MAX).0.concat(), exact);
    }

    #[test]
    fn a_line_that_is_larger_than_the_buffer_comes_at_once() {
        let text = vec![b'x'; 2 * BUFFER + PAGE];
        assert_eq!(pieces(&text, usize::MAX), (Vec::new(), Some(text)));
    }
}
