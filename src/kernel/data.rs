//! What the table says of the data of pages: who reads and writes it, and which way a transfer goes;
//! and of names that are no variables.

use super::Api;

impl Api {
    /// The CPU writes through its first argument and reads the others.
    pub fn is_copy(&self, name: &str) -> bool {
        self.copies.contains_key(name)
    }
    /// The CPU writes to the memory that its first argument points to.
    pub fn copies_to(&self, name: &str) -> bool {
        self.copies.get(name) == Some(&true)
    }
    /// The argument that is the name of a member, and no variable of that name.
    pub fn member_name(&self, macro_name: &str) -> Option<usize> {
        self.member_names.iter().find(|(n, _)| n == macro_name).map(|(_, k)| *k)
    }
    /// Maps an array of pages into the kernel.
    pub fn maps_pages(&self, name: &str) -> bool {
        self.maps_pages.iter().any(|n| n == name)
    }
    /// The direction of a transfer is one that writes to memory.
    pub fn is_to_memory(&self, name: &str) -> bool {
        self.to_memory.iter().any(|n| n == name)
    }
    /// The code tells private mappings from shared ones.
    pub fn tells_private(&self, word: &[u8]) -> bool {
        self.tells_private.iter().any(|n| n.as_bytes() == word)
    }
    /// Cleans the caches of what lies at a kernel address.
    pub fn is_flush(&self, name: &str) -> bool {
        self.flushes.contains_key(name)
    }
}
