//! Reads the files of a tree one after the other into one buffer.
//!
//! Files come in the order of their paths, many of one folder behind each other: the folder is opened once and they are
//! opened relative to it, which spares the system the way down from the root for each. Of a pass over v6.12 that is a
//! fifth.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Size of the buffer; 99.9 % of the files of v6.12 fit.
const BUFFER: usize = 1 << 20;

/// Size of the pieces of what does not fit: what was just read is then still near the processor when it is looked at.
const PIECE: usize = 1 << 18;

/// How much of the end of a file is looked at when its beginning was enough.
const END: usize = 1 << 16;

/// What a piece of a file asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// The file as a whole.
    Whole,
    /// The next piece.
    More,
    /// No more, if the end of the file is of the same kind.
    Enough,
}

/// What was read of a file.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Text<'a> {
    /// All, at once.
    Whole(&'a [u8]),
    /// All, in pieces.
    Pieces,
    /// Beginning and end.
    Ends,
}

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
    /// other, and only if that asks for all is it read whole. If the first piece is enough, the end of the file comes
    /// next, and when that is enough as well, nothing between the two is read.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read_pieces(
        &mut self,
        root: &Path,
        file: &str,
        piece: &mut dyn FnMut(&[u8]) -> Look,
    ) -> io::Result<Text<'_>> {
        let mut opened = self.open(root, file)?;
        self.buffer.resize(self.buffer.len().max(BUFFER), 0);
        // Bytes of the file that were read, and how many of them are in the buffer.
        let (mut read, mut filled, mut room) = (0usize, 0, PIECE);
        loop {
            let n = match opened.read(&mut self.buffer[filled..room]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                n => n?,
            };
            (read, filled) = (read + n, filled + n);
            let ends = n == 0 || filled < room && !read.is_multiple_of(PAGE);
            if ends && read == filled {
                return Ok(Text::Whole(&self.buffer[..filled]));
            }
            if !ends && filled < room {
                continue;
            }
            // Of few files more than a piece is read, and of few of these more than fits.
            let size = if read == PIECE { opened.metadata()?.len() } else { 0 };
            if read == PIECE && size < BUFFER as u64 {
                room = BUFFER;
                continue;
            }
            let lines = match ends {
                true => filled,
                false => memchr::memrchr(b'\n', &self.buffer[..filled]).map_or(0, |at| at + 1),
            };
            let look = if !ends && lines == 0 { Look::Whole } else { piece(&self.buffer[..lines]) };
            match look {
                Look::Whole => return self.read(root, file).map(Text::Whole),
                _ if ends => return Ok(Text::Pieces),
                Look::Enough if read == PIECE && size > (PIECE + END) as u64 => {
                    return match piece(self.end(&mut opened, size)?) {
                        Look::Enough => Ok(Text::Ends),
                        _ => self.read(root, file).map(Text::Whole),
                    };
                }
                _ => {}
            }
            self.buffer.copy_within(lines..filled, 0);
            filled -= lines;
            room = BUFFER.min(filled + PIECE);
        }
    }

    /// The last lines of a file of this size.
    fn end(&mut self, opened: &mut File, size: u64) -> io::Result<&[u8]> {
        opened.seek(SeekFrom::Start(size - END as u64))?;
        let mut filled = 0;
        while filled < END {
            match opened.read(&mut self.buffer[filled..END]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let end = &self.buffer[..filled];
        Ok(memchr::memchr(b'\n', end).map_or(end, |at| &end[at..]))
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

    /// The bytes of a file as they come in pieces, each of which asks for what stands in `looks`, the last one for all
    /// behind it; and what is read.
    fn pieces(text: &[u8], looks: &[Look]) -> (Vec<Vec<u8>>, Option<Vec<u8>>, bool) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.h"), text).unwrap();
        let mut got = Vec::new();
        let mut reader = Reader::default();
        let mut piece = |p: &[u8]| {
            got.push(p.to_vec());
            looks[(got.len() - 1).min(looks.len() - 1)]
        };
        let (whole, ends) = match reader.read_pieces(dir.path(), "a.h", &mut piece).unwrap() {
            Text::Whole(text) => (Some(text.to_vec()), false),
            Text::Pieces => (None, false),
            Text::Ends => (None, true),
        };
        (got, whole, ends)
    }

    const LINE: &[u8] = b"#define REGISTER 1234567890\n";

    #[test]
    fn a_large_file_comes_in_lines_and_a_small_one_at_once() {
        for more in [&b""[..], b"the end", &[b'\n'; 3 * PAGE]] {
            let text = [&LINE.repeat(3 * BUFFER / LINE.len()), more].concat();
            let (got, whole, ends) = pieces(&text, &[Look::More]);
            assert!(got.len() >= 3 && got.concat() == text && whole.is_none() && !ends);
            assert!(got[..got.len() - 1].iter().all(|p| p.ends_with(b"\n")));
            let (got, whole, _) = pieces(&text, &[Look::More, Look::Whole]);
            assert!(got.len() == 2 && whole.as_deref() == Some(&text));
            // Enough is said too late to leave anything out.
            let (got, whole, ends) = pieces(&text, &[Look::More, Look::Enough]);
            assert!(got.concat() == text && whole.is_none() && !ends);
        }
        assert_eq!(pieces(LINE, &[Look::More]), (Vec::new(), Some(LINE.to_vec()), false));
        for size in [PIECE, PIECE + 1, PIECE + PAGE, BUFFER - 1] {
            let exact = LINE.repeat(BUFFER)[..size].to_vec();
            assert_eq!(pieces(&exact, &[Look::Enough]), (Vec::new(), Some(exact), false));
        }
    }

    #[test]
    fn of_a_table_beginning_and_end_are_read() {
        let text = [&LINE.repeat(3 * BUFFER / LINE.len()), &b"the end"[..]].concat();
        let (got, whole, ends) = pieces(&text, &[Look::Enough]);
        assert!(got.len() == 2 && whole.is_none() && ends);
        assert!(text.starts_with(&got[0]) && got[0].ends_with(b"\n"));
        assert!(text.ends_with(&got[1]) && got[1].starts_with(b"\n#define") && got[1].len() > END / 2);
        for last in [Look::More, Look::Whole] {
            let (got, whole, ends) = pieces(&text, &[Look::Enough, last]);
            assert!(got.len() == 2 && whole.as_deref() == Some(&text) && !ends);
        }
    }

    #[test]
    fn a_line_that_is_larger_than_the_buffer_comes_at_once() {
        let text = vec![b'x'; 2 * BUFFER + PAGE];
        assert_eq!(pieces(&text, &[Look::More]), (Vec::new(), Some(text), false));
    }
}
