//! The trace as a sequence diagram, for slides and commit messages. Plain SVG: no script, no font to load.
//!
//! Every width comes from the text that it has to hold ([`super::font`]). Rows are numbered and time runs down; nothing
//! connects the columns, since no step is a message from one actor to another.

use super::font::{lines, width};
use super::scenario::Role;
use super::story::Story;
use std::fmt::Write as _;

/// Text of boxes and sentences.
const SIZE: usize = 21;
/// The title.
const TITLE: usize = 29;
/// Names of actors.
const ACTOR: usize = 23;
/// Settings and other small print.
const SMALL: usize = 17;
const LEFT: usize = 24;
const NUMBERS: usize = 60;
const GAP: usize = 18;
const ROW: usize = 60;
const BOX: usize = 44;
/// Widest text, unless the columns need more: a picture of 1450 is readable on a projector.
const WIDEST: usize = 1400;

const INK: &str = "#10233d";
const GREY: &str = "#444444";
const RED: &str = "#b3261e";
const GREEN: &str = "#1b6e3c";

/// A column: where it begins, how wide its boxes are.
struct Column {
    actor: &'static str,
    x: usize,
    width: usize,
}

/// A picture that grows downwards.
struct Canvas {
    body: String,
    /// Where the next thing begins.
    y: usize,
    /// How far to the right anything reaches.
    right: usize,
}

impl Canvas {
    /// A line of text that ends at the baseline `y`.
    fn text(&mut self, x: usize, y: usize, style: Style, text: &str) {
        self.right = self.right.max(x + width(text, style.size, style.bold));
        let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{weight} fill=\"{}\">{}</text>",
            style.size,
            style.fill,
            escape(text)
        );
    }

    /// Text in as many lines as it needs; moves down.
    fn paragraph(&mut self, x: usize, style: Style, text: &str, most: usize) {
        for line in lines(text, style.size, style.bold, most) {
            self.y += style.size * 4 / 3;
            self.text(x, self.y, style, &line);
        }
    }
}

/// How text looks.
#[derive(Clone, Copy)]
struct Style {
    size: usize,
    bold: bool,
    fill: &'static str,
}

const fn plain(size: usize, fill: &'static str) -> Style {
    Style { size, bold: false, fill }
}

const fn bold(size: usize, fill: &'static str) -> Style {
    Style { size, bold: true, fill }
}

/// The diagram.
pub fn svg(story: &Story) -> String {
    let columns = columns(story);
    let end = columns.last().map_or(0, |c| c.x + c.width);
    let most = end.max(WIDEST) - LEFT;
    let mut canvas = Canvas { body: String::new(), y: 16, right: end };
    canvas.paragraph(LEFT, bold(TITLE, INK), &capital(story.title), most);
    canvas.y += 6;
    canvas.paragraph(LEFT, plain(SIZE, GREY), &format!("Must hold: {}", story.property), most);
    canvas.paragraph(LEFT, plain(SMALL, GREY), &format!("{}: {}", story.scenario, story.knobs.join("  ")), most);
    if !columns.is_empty() {
        trace(&mut canvas, story, &columns);
    }
    verdict(&mut canvas, story, most);
    variants(&mut canvas, story);
    let (width, height) = (canvas.right + LEFT, canvas.y + 24);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
        escape(story.title),
        canvas.body
    )
}

/// A column for each actor, as wide as its widest text.
fn columns(story: &Story) -> Vec<Column> {
    let mut out: Vec<Column> = vec![];
    let mut x = LEFT + NUMBERS;
    for actor in story.actors() {
        let boxes = story.rows().filter(|s| s.actor == actor).map(|s| width(&s.short, SIZE, false) + 24);
        let width = boxes.chain([width(actor, ACTOR, true)]).max().unwrap_or(0);
        out.push(Column { actor, x, width });
        x += width + GAP;
    }
    out
}

/// The steps in their columns, and below them who waits.
fn trace(canvas: &mut Canvas, story: &Story, columns: &[Column]) {
    let top = canvas.y + 62;
    let steps = &story.outcome.steps;
    let rows = steps.len() + usize::from(story.outcome.waits.is_some());
    let bottom = top + 16 + ROW * rows;
    canvas.text(LEFT, top - 16, plain(SMALL, GREY), "time");
    let _ = writeln!(
        canvas.body,
        "<path d=\"M{x} {} V{} m-5 -9 l5 9 l5 -9\" stroke=\"#808080\" stroke-width=\"2\" fill=\"none\"/>",
        top,
        bottom - 10,
        x = LEFT + 6
    );
    for c in columns {
        let x = c.x + c.width / 2;
        let _ = writeln!(
            canvas.body,
            "<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#b0b0b0\" stroke-width=\"2\" \
             stroke-dasharray=\"2 8\"/>"
        );
        let left = x.saturating_sub(width(c.actor, ACTOR, true) / 2);
        canvas.text(left, top - 16, bold(ACTOR, INK), c.actor);
    }
    let states = columns.last().map_or(LEFT, |c| c.x + c.width) + GAP;
    if steps.iter().any(|s| !s.state.is_empty()) {
        canvas.text(states, top - 16, plain(SMALL, GREY), "the page after it");
    }
    for (i, step) in story.rows().enumerate() {
        let Some(c) = columns.iter().find(|c| c.actor == step.actor) else { continue };
        let y = top + 10 + ROW * i;
        let waits = i >= steps.len();
        let (fill, stroke, ink, dashes) = match () {
            () if waits => ("#ffffff", GREY, GREY, " stroke-dasharray=\"7 5\""),
            () if i + 1 == steps.len() => (RED, "#7a130d", "#ffffff", ""),
            () => ("#e8f0fb", "#2f5d9b", INK, ""),
        };
        let number = if waits { "...".to_string() } else { (i + 1).to_string() };
        let right = LEFT + NUMBERS - 14;
        canvas.text(right - width(&number, SIZE, false), y + 30, plain(SIZE, GREY), &number);
        let _ = writeln!(
            canvas.body,
            "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{BOX}\" rx=\"8\" fill=\"{fill}\" stroke=\"{stroke}\" \
             stroke-width=\"2\"{dashes}/>",
            c.x, c.width
        );
        let left = c.x + (c.width - width(&step.short, SIZE, false).min(c.width)) / 2;
        canvas.text(left, y + 30, plain(SIZE, ink), &step.short);
        canvas.text(states, y + 30, plain(SMALL, GREY), &step.state);
    }
    canvas.y = bottom;
}

fn colour(verdict: &str) -> &'static str {
    match verdict {
        "holds" => GREEN,
        "violated" => RED,
        _ => GREY,
    }
}

fn verdict(canvas: &mut Canvas, story: &Story, most: usize) {
    canvas.y += 14;
    canvas.paragraph(LEFT, bold(SIZE + 2, colour(story.outcome.verdict)), &story.sentence(), most);
    if let Some(w) = &story.outcome.waits {
        canvas.paragraph(LEFT, plain(SIZE, INK), &w.long, most);
    }
    if !story.changed.is_empty() {
        canvas.paragraph(LEFT, plain(SIZE, INK), &format!("With {} set.", story.changed.join(" ")), most);
    }
}

/// A table of the fixes and half fixes: role, verdict, what it is, settings.
fn variants(canvas: &mut Canvas, story: &Story) {
    if story.variants.is_empty() {
        return;
    }
    canvas.y += 44;
    canvas.text(LEFT, canvas.y, bold(SIZE, INK), "The same question with other settings");
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0) + 26;
    let role = LEFT + wide(&mut story.variants.iter().map(|v| width(v.role.word(), SIZE, false)));
    let verdicts: Vec<String> = story.variants.iter().map(|v| story.verdict(&v.outcome)).collect();
    let title = role + wide(&mut verdicts.iter().map(|v| width(v, SIZE, true)));
    let settings = title + wide(&mut story.variants.iter().map(|v| width(v.title, SIZE, false)));
    for (v, verdict) in story.variants.iter().zip(&verdicts) {
        canvas.y += 34;
        let y = canvas.y;
        // A cure that does not hold, or the other way round, would be seen.
        let fill = match v.role {
            Role::Note => GREY,
            _ => colour(v.outcome.verdict),
        };
        canvas.text(LEFT, y, plain(SIZE, GREY), v.role.word());
        canvas.text(role, y, bold(SIZE, fill), verdict);
        canvas.text(title, y, plain(SIZE, INK), v.title);
        canvas.text(settings, y, plain(SMALL, GREY), &v.set.join("  "));
    }
}

/// A sentence begins with a capital, a function name does not.
fn capital(text: &str) -> String {
    if text.split_whitespace().next().is_some_and(|word| word.trim_end_matches(',').ends_with("()")) {
        return text.to_string();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
