//! How wide text is: the advance widths of DejaVu Sans, the first font that the pictures ask for.
//!
//! The others that they name are as wide (Verdana) or narrower (Arial), so what fits here fits there.

/// Thousandths of the font size, from the blank (32) to the tilde (126).
const REGULAR: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
];
/// The same for bold text.
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696, 696,
    696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995,
    837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716,
    678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712,
    365, 712, 838,
];

/// Width of a line of this font size, rounded up; a sign that the tables lack counts as wide as the widest.
pub fn width(text: &str, size: usize, bold: bool) -> usize {
    let table = if bold { &BOLD } else { &REGULAR };
    let each = text.chars().map(|c| {
        let at = (c as usize).checked_sub(32);
        at.and_then(|i| table.get(i)).map_or(1103, |w| usize::from(*w))
    });
    (each.sum::<usize>() * size).div_ceil(1000)
}

/// The words in lines that are at most `most` wide; a word that is wider stands alone.
pub fn lines(text: &str, size: usize, bold: bool, most: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match out.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, bold) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(word.to_string()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        assert_eq!(width("i", 1000, false), 278);
        assert_eq!(width("W ", 1000, true), 1103 + 348);
        assert_eq!(width("\u{e4}", 1000, false), 1103);
    }

    #[test]
    fn lines_fit() {
        let text = "the words of a sentence that does not fit";
        let all = lines(text, 20, false, 150);
        assert!(all.len() > 1 && all.iter().all(|l| width(l, 20, false) <= 150), "{all:?}");
        assert_eq!(all.join(" "), text);
    }
}
