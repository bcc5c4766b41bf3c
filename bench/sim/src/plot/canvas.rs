//! A drawing in the making.

use std::fmt::Write;

use super::scale::{Scale, label};

/// Text and lines are of a mid-tone that is readable on white and on black alike: a picture in a page does not know
/// the page's theme.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#7b848e}.title{font-size:15px;font-weight:600}\
    .grid{stroke:#7b848e;stroke-opacity:.28}.wished{stroke:#7b848e;stroke-width:1.2;stroke-dasharray:2 2}\
    path{fill:none;stroke-linejoin:round}.shade{fill:#7b848e;fill-opacity:.18}";

/// A place in pixels, from the left and from the top.
pub(super) type Point = (f64, f64);

/// An SVG, element by element.
pub(super) struct Canvas {
    elements: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Where values are drawn, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Field {
    /// A line across for each of these values, which stand to the left.
    pub(super) fn grid(&self, canvas: &mut Canvas, y: Scale, values: &[f64]) {
        for value in values {
            let place = y.at(*value);
            canvas.line(&[(self.left, place), (self.right, place)], "class='grid'");
            canvas.text((self.left - 6.0, place + 4.0), Anchor::End, &label(*value), "");
        }
    }

    /// A span of it from top to bottom.
    pub(super) fn shade(&self, canvas: &mut Canvas, from: f64, to: f64) {
        let corners = [(from, self.top), (to, self.top), (to, self.bottom), (from, self.bottom)];
        canvas.area(&corners, "class='shade'");
    }
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { elements: String::new() }
    }

    /// Title and what has to be known to read the plot, at the top.
    pub(super) fn head(&mut self, title: &str, lines: &[String]) {
        self.add(&format!("<text class='title' x='12' y='24'>{}</text>", escaped(title)));
        for (number, line) in lines.iter().enumerate() {
            self.text((12.0, 42.0 + 16.0 * number as f64), Anchor::Start, line, "");
        }
    }

    /// `style`: attributes.
    pub(super) fn text(&mut self, (x, y): Point, anchor: Anchor, text: &str, style: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(&format!("<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}' {style}>{text}</text>"));
    }

    /// A line through these points. `style`: attributes.
    pub(super) fn line(&mut self, points: &[Point], style: &str) {
        let path = path(points);
        self.add(&format!("<path d='{path}' {style}/>"));
    }

    /// What these points surround. `style`: attributes.
    pub(super) fn area(&mut self, points: &[Point], style: &str) {
        let path = path(points);
        self.add(&format!("<path d='{path}Z' {style}/>"));
    }

    pub(super) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>\n\
             <style>{STYLE}</style>\n{}</svg>\n",
            self.elements
        )
    }

    fn add(&mut self, element: &str) {
        self.elements += element;
        self.elements.push('\n');
    }
}

fn path(points: &[Point]) -> String {
    let mut path = String::new();
    for (number, (x, y)) in points.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
