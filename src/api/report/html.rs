//! The report as one page: no script, nothing from elsewhere, its entries along as data.

use super::entry::UNKNOWN_LINE;
use super::{Entry, Summary, write_json};
use jiff::Timestamp;
use std::fmt::Write;
use std::io;

/// What stands before the entries in the page.
pub(super) const DATA_BEGIN: &str = "<script type=\"application/json\" id=\"enlist-report\">";

/// Columns of the table: heading, and the text that it shows.
const SHOWN: &[(&str, &str)] = &[
    ("Line", "line"),
    ("Serial number", "serial"),
    ("Name", "name"),
    ("Tag", "tag"),
    ("Bay", "bay"),
    ("Model", "product_type"),
    ("System", "os_version"),
    ("Blueprint", "blueprint"),
];

/// Columns of the chart of devices over time.
const BUCKETS: usize = 24;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--quiet:#59636e;--line:#d1d9e0;--page:#fff;\
--done:#1a7f37;--failed:#c4321f;--running:#9a6700;--missing:#8b949e}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;--page:#0d1117;\
--done:#3fb950;--failed:#f85149;--running:#d29922;--missing:#6e7681}}\
body{margin:2rem auto;max-width:75rem;padding:0 1rem;background:var(--page);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}p{margin:.3rem 0}\
.quiet{color:var(--quiet)}.mark{border:2px solid var(--running);padding:.1rem .5rem;font-weight:600}\
svg{display:block;max-width:100%;height:auto}svg text{fill:var(--ink);font:13px system-ui,sans-serif}\
.done{fill:var(--done)}.failed{fill:var(--failed)}.running{fill:var(--running)}.missing{fill:var(--missing)}\
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;\
padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}th{color:var(--quiet);font-weight:600}\
td b{white-space:nowrap}.wide{overflow-x:auto}code{font-size:.85em;overflow-wrap:anywhere}\
@media print{body{margin:0;max-width:none}}";

/// The page.
pub(super) fn page(entries: &[Entry]) -> String {
    let Some(batch) = entries.first() else { return String::new() };
    let title = format!("Batch {}", escaped(batch.get("name")));
    let mut page = String::new();
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    // Writing to a String cannot fail, here and below.
    let _ =
        write!(page, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n");
    page.push_str(&head(batch, entries));
    page.push_str(&states(entries));
    page.push_str(&over_time(entries));
    page.push_str(&outcomes(entries));
    table(&mut page, entries);
    let _ = writeln!(page, "{DATA_BEGIN}");
    let mut page = page.into_bytes();
    write_json(WithoutTags(&mut page), entries);
    page.extend_from_slice(b"\n</script>\n</body>\n</html>\n");
    String::from_utf8(page).unwrap_or_default()
}

/// JSON that cannot end the element it stands in.
struct WithoutTags<'a>(&'a mut Vec<u8>);

impl io::Write for WithoutTags<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for (n, part) in bytes.split(|byte| *byte == b'<').enumerate() {
            if n > 0 {
                self.0.extend_from_slice(b"\\u003c");
            }
            self.0.extend_from_slice(part);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn head(batch: &Entry, entries: &[Entry]) -> String {
    let devices: Vec<&Entry> = devices(entries).collect();
    let lines = |which: fn(&str) -> bool| devices.iter().filter(move |e| which(e.get("line")));
    let named = || lines(|line| !line.is_empty() && line != UNKNOWN_LINE);
    let done = named().filter(|e| e.get("state") == "done").count();
    let (named, came, unknown) =
        (named().count(), lines(str::is_empty).count(), lines(|line| line == UNKNOWN_LINE).count());
    let mut others =
        if came > 0 { format!(" {came} came that the manifest does not name.") } else { String::new() };
    if unknown > 0 {
        let _ = write!(others, " {unknown} came that told nobody which line they are.");
    }
    let mut out = String::new();
    if devices.iter().any(|e| e.get("simulated") == "yes") {
        out.push_str("<p><span class=\"mark\">SIMULATED DEVICES</span></p>\n");
    }
    let _ = writeln!(
        out,
        "<p><b>{done} of {named} devices enrolled.</b>{others} {}</p>",
        escaped(batch.get("sentence"))
    );
    let until = match batch.get("ended") {
        "" => String::new(),
        ended => format!(", closed {}", when(ended)),
    };
    let _ = writeln!(
        out,
        "<p class=\"quiet\">Opened {}{until}. {}</p>",
        when(batch.get("started")),
        escaped(batch.get("next"))
    );
    let head = entries.last().map_or("", Entry::hash);
    let _ = writeln!(
        out,
        "<p class=\"quiet\">Entries are chained by hashes; the last is <code>{head}</code>. \
         <code>enlist report --verify FILE</code> shows whether anything was changed.</p>"
    );
    out
}

fn devices(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.get("kind") == "device")
}

/// One bar with a part for each state.
fn states(entries: &[Entry]) -> String {
    let summary = Summary::of(entries);
    let all: usize = summary.states.values().sum();
    let mut out = String::from("<h2>How the devices stand</h2>\n");
    let (mut bars, mut words, mut x) = (String::new(), Vec::new(), 0);
    for state in ["done", "failed", "running", "missing"] {
        let count = summary.states.get(state).copied().unwrap_or(0);
        let width = (count * 900).checked_div(all).unwrap_or(0);
        if count > 0 {
            let _ =
                write!(bars, "<rect class=\"{state}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"28\"/>");
            words.push(format!("{count} {state}"));
        }
        x += width;
    }
    let words = words.join(", ");
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 900 28\" role=\"img\" aria-label=\"{words}\">{bars}</svg>\n<p>{words}</p>"
    );
    out
}

/// Devices that came to an end, by time.
fn over_time(entries: &[Entry]) -> String {
    let ended: Vec<(i64, bool)> = devices(entries)
        .filter_map(|e| {
            Some((e.get("ended").parse::<Timestamp>().ok()?.as_second(), e.get("state") == "done"))
        })
        .collect();
    let (Some(first), Some(last)) =
        (ended.iter().map(|(at, _)| *at).min(), ended.iter().map(|(at, _)| *at).max())
    else {
        return String::new();
    };
    let span = usize::try_from(last - first).unwrap_or(0) + 1;
    let mut buckets = [[0usize; 2]; BUCKETS];
    for (at, good) in &ended {
        let place = usize::try_from(at - first).unwrap_or(0) * BUCKETS / span;
        if let Some(bucket) = buckets.get_mut(place) {
            bucket[usize::from(!good)] += 1;
        }
    }
    let most = buckets.iter().map(|[good, bad]| good + bad).max().unwrap_or(1).max(1);
    let mut bars = String::new();
    for (n, [good, bad]) in buckets.iter().enumerate() {
        let (x, of_good, of_bad) = (n * 37 + 8, good * 120 / most, bad * 120 / most);
        let tall = of_good + of_bad;
        if good + bad > 0 {
            let _ = write!(
                bars,
                "<rect class=\"failed\" x=\"{x}\" y=\"{}\" width=\"30\" height=\"{of_bad}\"/>\
                 <rect class=\"done\" x=\"{x}\" y=\"{}\" width=\"30\" height=\"{of_good}\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                140 - tall,
                140 - of_good,
                x + 15,
                136 - tall,
                good + bad
            );
        }
    }
    let text =
        |at: i64| Timestamp::from_second(at).map(|t| t.strftime("%H:%M:%S").to_string()).unwrap_or_default();
    let words =
        format!("{} devices came to an end between {} and {} UTC", ended.len(), text(first), text(last));
    format!(
        "<h2>Over time</h2>\n<svg viewBox=\"0 0 900 165\" role=\"img\" aria-label=\"{words}\">{bars}\
         <text x=\"8\" y=\"160\">{}</text><text x=\"892\" y=\"160\" text-anchor=\"end\">{} UTC</text></svg>\n<p>{words}.</p>\n",
        text(first),
        text(last)
    )
}

/// A bar for each outcome.
fn outcomes(entries: &[Entry]) -> String {
    let summary = Summary::of(entries);
    let mut counted: Vec<(&String, &usize)> = summary.outcomes.iter().collect();
    counted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let Some(most) = counted.first().map(|(_, count)| **count) else { return String::new() };
    let mut bars = String::new();
    for (n, (name, count)) in counted.iter().enumerate() {
        let state =
            devices(entries).find(|e| e.get("outcome") == name.as_str()).map_or("", |e| e.get("state"));
        let (y, width) = (n * 28, *count * 600 / most.max(1));
        let _ = write!(
            bars,
            "<text x=\"0\" y=\"{}\">{}</text><rect class=\"{state}\" x=\"220\" y=\"{y}\" width=\"{width}\" height=\"20\"/>\
             <text x=\"{}\" y=\"{}\">{count}</text>",
            y + 15,
            escaped(name),
            228 + width,
            y + 15
        );
    }
    let words = counted.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    format!(
        "<h2>Outcomes</h2>\n<svg viewBox=\"0 0 900 {}\" role=\"img\" aria-label=\"{}\">{bars}</svg>\n",
        counted.len() * 28,
        escaped(&words)
    )
}

fn table(out: &mut String, entries: &[Entry]) {
    out.push_str(
        "<h2>Devices</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Devices\"><table>\n<tr>",
    );
    for (heading, _) in SHOWN {
        let _ = write!(out, "<th scope=\"col\">{heading}</th>");
    }
    out.push_str("<th scope=\"col\">How it stands</th><th scope=\"col\">Ended (UTC)</th></tr>\n");
    for entry in devices(entries) {
        out.push_str("<tr>");
        for (_, column) in SHOWN {
            let text = match (*column, entry.get(column)) {
                ("serial", "") => entry.get("imei"),
                ("name", "") => entry.get("device_name"),
                (_, text) => text,
            };
            out.push_str("<td>");
            escape_into(out, text);
            out.push_str("</td>");
        }
        let outcome = match entry.get("outcome") {
            "" => entry.get("state"),
            outcome => outcome,
        };
        let shape = match entry.get("state") {
            "done" => "✔",
            "failed" => "✖",
            "running" => "●",
            _ => "○",
        };
        let mut words = format!("<b>{shape} {}</b> {}", escaped(outcome), escaped(entry.get("sentence")));
        for (before, column) in [(" ", "next"), (" Device said: ", "chain")] {
            let text = entry.get(column);
            if entry.get("state") == "failed" && !text.is_empty() {
                let _ = write!(words, "<span class=\"quiet\">{before}{}</span>", escaped(text));
            }
        }
        let _ = writeln!(out, "<td>{words}</td><td>{}</td></tr>", when(entry.get("ended")));
    }
    out.push_str("</table></div>\n");
}

/// A moment for people; what cannot be read as one stays as it is.
fn when(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => escaped(text),
    }
}

/// Text as HTML and XML take it.
pub(in crate::api) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text);
    out
}

fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}
