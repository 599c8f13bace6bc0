//! The trace as a sequence diagram, for slides and commit messages. Plain SVG: no script, no font to load.

use super::story::Story;
use std::fmt::Write as _;

/// Units of a character of the box font, on the safe side.
const CHAR: usize = 13;
const LEFT: usize = 66;
const GAP: usize = 18;
const TOP: usize = 150;
const ROW: usize = 60;
const BOX: usize = 44;

/// A column: where it begins, how wide its boxes are.
struct Column {
    actor: &'static str,
    x: usize,
    width: usize,
}

impl Column {
    fn centre(&self) -> usize {
        self.x + self.width / 2
    }
}

/// The diagram. Text is 21 units high in a picture of at most about 1450, readable on a projector.
pub fn svg(story: &Story) -> String {
    let steps = &story.outcome.steps;
    let mut columns: Vec<Column> = vec![];
    let mut x = LEFT;
    for actor in story.actors() {
        let own = steps.iter().filter(|s| s.actor == actor).map(|s| s.short.chars().count());
        let width = own.chain([actor.len()]).max().unwrap_or(0) * CHAR + 24;
        columns.push(Column { actor, x, width });
        x += width + GAP;
    }
    let width = x.max(1100);
    let bottom = TOP + 20 + ROW * steps.len();
    let height = bottom + 80 + 32 * story.variants.len();
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\" font-size=\"21\">\n\
         <title>{}</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"6\" markerHeight=\"6\" \
         orient=\"auto\"><path d=\"M0 0 L10 5 L0 10 z\" fill=\"#606060\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escape(story.title)
    );
    label(&mut out, 24, 44, "font-size=\"29\" font-weight=\"bold\"", &capital(story.title));
    label(&mut out, 24, 82, "fill=\"#444444\"", &format!("Must hold: {}", story.property));
    for column in &columns {
        let x = column.centre();
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#b0b0b0\" stroke-width=\"2\" \
             stroke-dasharray=\"6 6\"/>"
        );
        label(&mut out, x, TOP - 16, "text-anchor=\"middle\" font-weight=\"bold\" font-size=\"23\"", column.actor);
    }
    let of = |i: usize| columns.iter().find(|c| steps.get(i).is_some_and(|s| s.actor == c.actor));
    for (i, step) in steps.iter().enumerate() {
        let Some(column) = of(i) else { continue };
        let y = TOP + 10 + ROW * i;
        if let Some(next) = of(i + 1) {
            arrow(&mut out, column, next, y);
        }
        let last = i + 1 == steps.len();
        let (fill, stroke, ink) =
            if last { ("#b3261e", "#7a130d", "#ffffff") } else { ("#e8f0fb", "#2f5d9b", "#10233d") };
        label(&mut out, 46, y + 30, "text-anchor=\"end\" fill=\"#444444\"", &(i + 1).to_string());
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{BOX}\" rx=\"8\" fill=\"{fill}\" stroke=\"{stroke}\" \
             stroke-width=\"2\"/>",
            column.x, column.width
        );
        label(&mut out, column.centre(), y + 29, &format!("text-anchor=\"middle\" fill=\"{ink}\""), &step.short);
    }
    verdicts(&mut out, story, bottom);
    out.push_str("</svg>\n");
    out
}

/// From one box to the next: down in the same column, else out of the side and down into the other.
fn arrow(out: &mut String, from: &Column, to: &Column, y: usize) {
    let end = y + ROW - 1;
    let path = if from.x == to.x {
        format!("M{} {} V{end}", from.centre(), y + BOX)
    } else {
        let side = if to.x > from.x { from.x + from.width } else { from.x };
        format!("M{side} {} H{} V{end}", y + BOX / 2, to.centre())
    };
    let style = "stroke=\"#606060\" stroke-width=\"2\" fill=\"none\" marker-end=\"url(#tip)\"";
    let _ = writeln!(out, "<path d=\"{path}\" {style}/>");
}

fn verdicts(out: &mut String, story: &Story, bottom: usize) {
    let (red, green, grey) = ("#b3261e", "#1b6e3c", "#444444");
    let steps = |n: usize| if n == 1 { "1 step".to_string() } else { format!("{n} steps") };
    let (colour, verdict) = match story.outcome.verdict {
        "violated" if story.liveness => (red, format!("Stuck after {}", steps(story.outcome.steps.len()))),
        "violated" => (red, format!("Violated in {}", steps(story.outcome.steps.len()))),
        "holds" => (green, format!("Holds in all {} states", story.outcome.states)),
        _ => (grey, format!("Not decided within {} states", story.outcome.states)),
    };
    let big = format!("font-size=\"25\" font-weight=\"bold\" fill=\"{colour}\"");
    label(out, 24, bottom + 36, &big, &verdict);
    for (i, v) in story.variants.iter().enumerate() {
        let y = bottom + 74 + 32 * i;
        let (colour, word) = match v.outcome.verdict {
            "holds" => (green, format!("holds, {} states", v.outcome.states)),
            "violated" => (
                red,
                format!("{} in {}", if story.liveness { "stuck" } else { "violated" }, steps(v.outcome.steps.len())),
            ),
            _ => (grey, "not decided".to_string()),
        };
        label(out, 24, y, "", v.title);
        label(out, 790, y, &format!("fill=\"{colour}\" font-weight=\"bold\""), &word);
    }
}

fn label(out: &mut String, x: usize, y: usize, style: &str, text: &str) {
    let space = if style.is_empty() { "" } else { " " };
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\"{space}{style}>{}</text>", escape(text));
}

/// A sentence begins with a capital, a function name does not.
fn capital(text: &str) -> String {
    if text.split_whitespace().next().is_some_and(|word| word.ends_with("()")) {
        return text.to_string();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
