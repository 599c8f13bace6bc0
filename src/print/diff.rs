//! Unified diff that `git apply` and `patch -p1` take, byte for byte.
//!
//! Lines end at `\n` and nowhere else, as git has it: a carriage return or a byte that is no UTF-8 is part of its line
//! and is copied as it is. `similar` finds the difference; the text is written here, since its own writer splits lines
//! at a lone carriage return too, and names no function behind `@@`.

use super::{Paint, Style};
use crate::report::FileChange;
use similar::{Algorithm, DiffOp, DiffTag};
use std::io::{self, Write};

/// Lines around a change.
const CONTEXT: usize = 3;
/// What git keeps of the line that names the function.
const FUNCTION_MAX: usize = 80;

/// Writes the diff of one file; nothing when nothing changed.
///
/// # Errors
/// Those of `out`.
pub fn print(file: &FileChange, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let old: Vec<&[u8]> = file.before.split_inclusive(|&b| b == b'\n').collect();
    let new: Vec<&[u8]> = file.after.split_inclusive(|&b| b == b'\n').collect();
    let ops = similar::capture_diff_slices(Algorithm::Myers, &old, &new);
    if ops.iter().all(|op| op.tag() == DiffTag::Equal) {
        return Ok(());
    }
    let header = format!("--- {}\n+++ {}", name("a/", &file.path), name("b/", &file.path));
    for line in header.lines() {
        writeln!(out, "{}", style.paint(Paint::Bold, line))?;
    }
    for group in similar::group_diff_ops(ops, CONTEXT) {
        hunk(&group, &old, &new, style, out)?;
    }
    Ok(())
}

fn hunk(group: &[DiffOp], old: &[&[u8]], new: &[&[u8]], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
    let before = first.old_range().start..last.old_range().end;
    let after = first.new_range().start..last.new_range().end;
    let place = format!("@@ -{} +{} @@", range(&before), range(&after));
    out.write_all(style.paint(Paint::Cyan, &place).as_bytes())?;
    if let Some(function) = function_above(&old[..before.start]) {
        out.write_all(b" ")?;
        out.write_all(function)?;
    }
    out.write_all(b"\n")?;
    for op in group {
        if op.tag() == DiffTag::Equal {
            lines(b' ', &old[op.old_range()], None, style, out)?;
        } else {
            lines(b'-', &old[op.old_range()], Some(Paint::Red), style, out)?;
            lines(b'+', &new[op.new_range()], Some(Paint::Green), style, out)?;
        }
    }
    Ok(())
}

fn lines(sign: u8, text: &[&[u8]], paint: Option<Paint>, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (on, off) = match paint {
        Some(Paint::Red) if style.colour => ("\x1b[31m", "\x1b[0m"),
        Some(_) if style.colour => ("\x1b[32m", "\x1b[0m"),
        _ => ("", ""),
    };
    for line in text {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        out.write_all(on.as_bytes())?;
        out.write_all(&[sign])?;
        out.write_all(body)?;
        out.write_all(off.as_bytes())?;
        out.write_all(b"\n")?;
        if body.len() == line.len() {
            out.write_all(b"\\ No newline at end of file\n")?;
        }
    }
    Ok(())
}

/// `first,count` of a hunk header: an empty range names the line before it.
fn range(lines: &std::ops::Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        n => format!("{},{n}", lines.start + 1),
    }
}

/// The last line that starts with a letter, `_` or `$`: what git shows behind `@@` for C without attributes.
fn function_above<'a>(above: &[&'a [u8]]) -> Option<&'a [u8]> {
    let line =
        above.iter().rev().find(|l| l.first().is_some_and(|&b| b.is_ascii_alphabetic() || b"_$".contains(&b)))?;
    let line = line.trim_ascii_end();
    let mut end = line.len().min(FUNCTION_MAX);
    // Not in the middle of a character.
    while end < line.len() && line[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    Some(&line[..end])
}

/// A path with its prefix, quoted as git does when it holds a character that would end or break it.
pub fn name(prefix: &str, path: &str) -> String {
    let odd = |c: char| c.is_control() || c == '"' || c == '\\' || !c.is_ascii();
    if !path.chars().any(odd) {
        // A tab after the name tells a name with blanks from a date.
        return format!("{prefix}{path}{}", if path.contains(' ') { "\t" } else { "" });
    }
    let mut out = format!("\"{prefix}");
    for b in path.bytes() {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(b as char),
            _ => out.push_str(&format!("\\{b:03o}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(path: &str, before: &[u8], after: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let file = FileChange { path: path.into(), before: before.into(), after: after.to_vec() };
        print(&file, &Style::default(), &mut out).expect("written");
        out
    }

    #[test]
    fn a_small_change() {
        let before = b"int f(void)\n{\n\ta;\n\tb;\n\tc;\n\td;\n\te;\n}\n";
        let after = b"int f(void)\n{\n\ta;\n\tb;\n\tc;\n\td;\n\tE;\n}\n";
        let expect = "--- a/x/y.c\n+++ b/x/y.c\n@@ -4,5 +4,5 @@ int f(void)\n \tb;\n \tc;\n \td;\n-\te;\n+\tE;\n }\n";
        assert_eq!(String::from_utf8(diff("x/y.c", before, after)).expect("UTF-8"), expect);
        assert!(diff("x/y.c", before, before).is_empty());
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(name("a/", "x y.c"), "a/x y.c\t");
        assert_eq!(name("a/", "x\"\u{e4}.c"), "\"a/x\\\"\\303\\244.c\"");
    }

    /// `git apply` on what was printed gives back every byte, for lines that other tools break.
    #[test]
    fn git_takes_it() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"a\nb\nc\n", b"a\nB\nc\n"),
            (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\r\n"),
            (b"a\nb\xff\xfe\nc\n", b"a\nb\xff\nc\n"),
            (b"a\nb\rc\nd\n", b"a\nb\rC\nd\n"),
            (b"a\nb", b"a\nc"),
            (b"a\nb", b"a\nb\n"),
            (b"a\nb\n", b"b\n"),
            (b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n", b"b\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm"),
        ];
        for (i, (before, after)) in cases.iter().enumerate() {
            for path in ["s/x.c", "s/x y.c", "s/\u{e4}.c"] {
                let dir = tempfile::tempdir().expect("temporary folder");
                std::fs::create_dir(dir.path().join("s")).expect("folder");
                std::fs::write(dir.path().join(path), before).expect("file");
                std::fs::write(dir.path().join("p.diff"), diff(path, before, after)).expect("file");
                let git = std::process::Command::new("git")
                    .args(["apply", "--whitespace=nowarn", "p.diff"])
                    .current_dir(dir.path())
                    .env("GIT_CEILING_DIRECTORIES", dir.path())
                    .output()
                    .expect("git, which the tests need");
                assert!(git.status.success(), "case {i} {path}: {}", String::from_utf8_lossy(&git.stderr));
                assert_eq!(std::fs::read(dir.path().join(path)).expect("file"), *after, "case {i} {path}");
            }
        }
    }
}
