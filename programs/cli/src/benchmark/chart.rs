// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The figures as a picture: SVG with axes, labels and units, in colours that the colour-blind tell apart.

use std::fmt::Write as _;

use super::{
    end_to_end::RunFigures,
    load::{Cell, Kind},
};
use crate::output::text;

const WIDTH: f64 = 760.0;
const PANEL_HEIGHT: f64 = 300.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 54.0;
/// Lines on the value axis, at most.
const TICKS_MAX: f64 = 6.0;
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999",
];

/// Draws all that was measured.
pub fn draw(title: &str, cells: &[Cell], runs: &[RunFigures]) -> String {
    let mut panels: Vec<String> = Vec::new();
    for (kind, name) in [(Kind::Put, "Upload"), (Kind::Get, "Download")] {
        if cells.iter().any(|cell| cell.kind == kind) {
            let rate = |cell: &Cell| cell.figures.megabytes_per_second();
            panels.push(lines(
                &format!("{name}: rate by size of object"),
                "MB/s",
                cells,
                kind,
                rate,
            ));
            let late = |cell: &Cell| cell.figures.p99_ms;
            panels.push(lines(
                &format!("{name}: 99 of 100 requests took at most"),
                "milliseconds",
                cells,
                kind,
                late,
            ));
        }
    }
    if !runs.is_empty() {
        panels.push(bars(runs));
    }
    let height = 40.0 + PANEL_HEIGHT * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    label(&mut svg, WIDTH / 2.0, 26.0, "middle", 16, title);
    for (number, panel) in panels.iter().enumerate() {
        let y = 40.0 + PANEL_HEIGHT * number as f64;
        let _written = writeln!(svg, "<g transform=\"translate(0 {y})\">\n{panel}</g>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// A line for each concurrency over the sizes of objects.
fn lines(title: &str, unit: &str, cells: &[Cell], kind: Kind, value: impl Fn(&Cell) -> f64) -> String {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.kind == kind).collect();
    let mut sizes: Vec<u64> = cells.iter().map(|cell| cell.size_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut concurrencies: Vec<usize> = cells.iter().map(|cell| cell.concurrency).collect();
    concurrencies.sort_unstable();
    concurrencies.dedup();
    let top = cells.iter().map(|cell| value(cell)).fold(0.0, f64::max);
    let axis = Axis::up_to(top);
    let mut panel = frame(title, unit, &axis);
    let x_of = |size: u64| {
        let place = sizes.iter().position(|known| *known == size).unwrap_or(0);
        LEFT + (WIDTH - LEFT - RIGHT) * (place as f64 + 0.5) / sizes.len() as f64
    };
    for size in &sizes {
        label(
            &mut panel,
            x_of(*size),
            PANEL_HEIGHT - BOTTOM + 18.0,
            "middle",
            12,
            &text::size(*size),
        );
    }
    label(
        &mut panel,
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        PANEL_HEIGHT - BOTTOM + 38.0,
        "middle",
        12,
        "size of object",
    );
    for (number, concurrency) in concurrencies.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut points = String::new();
        for cell in cells.iter().filter(|cell| cell.concurrency == *concurrency) {
            let (x, y) = (x_of(cell.size_bytes), axis.y_of(value(cell)));
            let _written = write!(points, "{x:.1},{y:.1} ");
            let _written = writeln!(
                panel,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
        let _written = writeln!(
            panel,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.trim_end()
        );
        let y = TOP + 10.0 + 18.0 * number as f64;
        let x = WIDTH - RIGHT + 16.0;
        let _written = writeln!(
            panel,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            x + 18.0
        );
        label(
            &mut panel,
            x + 24.0,
            y + 4.0,
            "start",
            12,
            &format!("{concurrency} at once"),
        );
    }
    panel
}

/// A bar for each run.
fn bars(runs: &[RunFigures]) -> String {
    let top = runs
        .iter()
        .map(RunFigures::gigabytes_per_hour)
        .fold(0.0, f64::max);
    let axis = Axis::up_to(top);
    let mut panel = frame("Whole runs: data per hour", "GB per hour", &axis);
    let slot = (WIDTH - LEFT - RIGHT) / runs.len() as f64;
    for (number, run) in runs.iter().enumerate() {
        let value = run.gigabytes_per_hour();
        let (x, y) = (LEFT + slot * number as f64 + slot * 0.2, axis.y_of(value));
        let _written = writeln!(
            panel,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            slot * 0.6,
            (PANEL_HEIGHT - BOTTOM - y).max(0.0),
            COLOURS[number % COLOURS.len()]
        );
        let middle = x + slot * 0.3;
        label(&mut panel, middle, y - 5.0, "middle", 12, &number_text(value));
        label(
            &mut panel,
            middle,
            PANEL_HEIGHT - BOTTOM + 18.0,
            "middle",
            12,
            run.name,
        );
        if let Some(limit) = &run.bottleneck {
            let limit = format!("limited by {limit}");
            label(
                &mut panel,
                middle,
                PANEL_HEIGHT - BOTTOM + 36.0,
                "middle",
                10,
                &limit,
            );
        }
    }
    panel
}

/// The value axis.
struct Axis {
    step: f64,
    top: f64,
}

impl Axis {
    /// An axis from 0 with round steps.
    fn up_to(value: f64) -> Self {
        let value = if value.is_finite() && value > 0.0 {
            value
        } else {
            1.0
        };
        let rough = value / TICKS_MAX;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power);
        Self {
            step,
            top: (value / step).ceil() * step,
        }
    }

    fn y_of(&self, value: f64) -> f64 {
        let height = PANEL_HEIGHT - TOP - BOTTOM;
        PANEL_HEIGHT - BOTTOM - height * (value / self.top).clamp(0.0, 1.0)
    }
}

fn frame(title: &str, unit: &str, axis: &Axis) -> String {
    let mut panel = String::new();
    label(&mut panel, LEFT, TOP - 20.0, "start", 14, title);
    let (bottom, right) = (PANEL_HEIGHT - BOTTOM, WIDTH - RIGHT);
    let ticks = (axis.top / axis.step).round() as u32;
    for tick in 0..=ticks {
        let value = axis.step * f64::from(tick);
        let y = axis.y_of(value);
        let _written = writeln!(
            panel,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>"
        );
        label(&mut panel, LEFT - 8.0, y + 4.0, "end", 12, &number_text(value));
    }
    let _written = writeln!(
        panel,
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#333333\"/>"
    );
    let middle = (TOP + bottom) / 2.0;
    let _written = writeln!(
        panel,
        "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\">{}</text>",
        escaped(unit)
    );
    panel
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, text: &str) {
    let _written = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{}</text>",
        escaped(text)
    );
}

fn number_text(value: f64) -> String {
    if value >= 100.0 || value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Text as XML takes it; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::*;

    fn cell(size_bytes: u64, concurrency: usize, rate: f64) -> Cell {
        Cell {
            kind: Kind::Put,
            size_bytes,
            concurrency,
            figures: Figures {
                requests: 1,
                bytes: (rate * 1e6) as u64,
                seconds: 1.0,
                p50_ms: 1.0,
                p90_ms: 1.0,
                p99_ms: 12.0,
            },
        }
    }

    #[test]
    fn a_chart_has_axes_units_and_a_line_for_each_concurrency() {
        let cells = [
            cell(1 << 20, 1, 10.0),
            cell(8 << 20, 1, 40.0),
            cell(1 << 20, 4, 35.0),
        ];
        let svg = draw("<s3://bucket> & more", &cells, &[]);
        for part in [
            "MB/s",
            "milliseconds",
            "1 at once",
            "4 at once",
            "size of object",
            "1.00 MB",
            "&lt;s3://bucket&gt; &amp; more",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn axes_end_at_a_round_number_above_what_they_show() {
        for (value, top) in [
            (0.0, 1.0),
            (9.4, 10.0),
            (41.0, 50.0),
            (120.0, 120.0),
            (0.037, 0.04),
        ] {
            let axis = Axis::up_to(value);
            assert!((axis.top - top).abs() < 1e-9, "{value}: {}", axis.top);
            assert!(axis.top / axis.step <= TICKS_MAX + 1.0);
        }
        assert!(Axis::up_to(f64::NAN).top > 0.0);
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        assert!(draw("x", &[], &[]).ends_with("</svg>\n"));
    }
}
