//! A set of files as bits: they come out ascending without being sorted.

use crate::source::FileId;

/// Some files of a tree.
pub(super) struct FileSet(Vec<u64>);

impl FileSet {
    /// An empty set, for a tree with so many files.
    pub fn new(files: usize) -> Self {
        Self(vec![0; files.div_ceil(64)])
    }
    /// Adds a file; tells whether it is new. One that is not in the tree never is.
    pub fn insert(&mut self, file: FileId) -> bool {
        let bit = 1 << (file.0 % 64);
        let Some(word) = self.0.get_mut(file.0 as usize / 64) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
    /// Whether a file was added.
    pub fn contains(&self, file: FileId) -> bool {
        self.0.get(file.0 as usize / 64).is_some_and(|word| word & (1 << (file.0 % 64)) != 0)
    }
    /// The files, ascending.
    pub fn iter(&self) -> impl Iterator<Item = FileId> {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let rest = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
            let words = std::iter::successors((word != 0).then_some(word), rest);
            words.map(move |left| FileId(i as u32 * 64 + left.trailing_zeros()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_out_once_and_ascending() {
        let mut set = FileSet::new(200);
        let given = [130, 0, 63, 64, 130, 199, 0, 1];
        let new: Vec<bool> = given.map(|f| set.insert(FileId(f))).into();
        assert_eq!(new, [true, true, true, true, false, true, false, true]);
        assert_eq!(set.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1, 63, 64, 130, 199]);
        assert!(!set.insert(FileId(256)));
        assert!(set.contains(FileId(199)) && !set.contains(FileId(198)) && !set.contains(FileId(256)));
    }
}
