//! `/metrics`: figures in the text format of Prometheus.

use super::state::{FOLLOWERS, Web};
use crate::api::Outcome;
use crate::api::feed::JOB_SECONDS;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "station",
    responses((status = 200, description = "Text format 0.0.4", content_type = "text/plain", body = String))
)]
pub(super) async fn metrics(State(web): State<Arc<Web>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], figures(&web)).into_response()
}

fn figures(web: &Web) -> String {
    let mut text = Text::default();
    let station = web.running.station(web.kiosk);
    text.family("enlist_info", "gauge", "What runs: always 1.");
    let simulated = station.simulated.to_string();
    text.sample("enlist_info", &[("version", &station.version), ("simulated", &simulated)], 1);
    text.only("enlist_start_time_seconds", "gauge", "When it began.", web.running.started().as_second());
    let up = u8::from(station.mux_trouble.is_none());
    text.only("enlist_mux_up", "gauge", "1 if there is a way to the devices.", up);
    let up = u8::from(station.journal_trouble.is_none());
    text.only("enlist_journal_up", "gauge", "1 if the journal can be written.", up);
    if let Some(ends) = web.running.export_ends() {
        let about = "Until when the export is good.";
        text.only("enlist_export_expires_timestamp_seconds", "gauge", about, ends.as_second());
    }
    bays(web, &mut text);
    jobs(web, &mut text);
    http(web, &mut text);
    process(&mut text);
    text.0
}

fn bays(web: &Web, text: &mut Text) {
    let lines = web.running.bays();
    let mut standing: BTreeMap<&str, u32> = Outcome::ALL.iter().map(|o| (o.name(), 0)).collect();
    for line in lines.iter().filter(|line| line.attached) {
        *standing.entry(line.device.outcome.name()).or_default() += 1;
    }
    text.family("enlist_devices", "gauge", "Attached devices, by how they stand.");
    for (outcome, count) in standing {
        text.sample("enlist_devices", &[("outcome", outcome)], count);
    }
    let open = lines.iter().filter(|line| line.is_open()).count();
    text.only("enlist_jobs_open", "gauge", "Jobs that have still to end.", open);
}

fn jobs(web: &Web, text: &mut Text) {
    let counts = web.running.feed().counts();
    text.family("enlist_jobs_ended_total", "counter", "Jobs that ended, by outcome.");
    for (outcome, count) in &counts.ended {
        text.sample("enlist_jobs_ended_total", &[("outcome", outcome)], count);
    }
    text.family("enlist_job_duration_seconds", "histogram", "From a job's begin to its end.");
    for (bound, count) in JOB_SECONDS.iter().zip(counts.job_buckets) {
        text.sample("enlist_job_duration_seconds_bucket", &[("le", &bound.to_string())], count);
    }
    let ended: u64 = counts.ended.values().sum();
    text.sample("enlist_job_duration_seconds_bucket", &[("le", "+Inf")], ended);
    let seconds = format!("{}.{:03}", counts.job_ms / 1000, counts.job_ms % 1000);
    text.sample("enlist_job_duration_seconds_sum", &[], seconds);
    text.sample("enlist_job_duration_seconds_count", &[], ended);
    text.only("enlist_pushes_total", "counter", "Profiles pushed.", counts.pushes);
    text.only("enlist_events_total", "counter", "Updates of the board.", counts.events);
}

fn http(web: &Web, text: &mut Text) {
    text.family("enlist_http_responses_total", "counter", "Answers, by status.");
    let answers = web.counts.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (status, count) in answers {
        text.sample("enlist_http_responses_total", &[("code", &status.to_string())], count);
    }
    let open = web.counts.connections.load(Ordering::Relaxed);
    text.only("enlist_http_connections", "gauge", "Connections that are open.", open);
    let away = web.counts.turned_away.load(Ordering::Relaxed);
    text.only(
        "enlist_http_connections_refused_total",
        "counter",
        "Connections that were one too many.",
        away,
    );
    let free = web.followers.available_permits();
    let followers = FOLLOWERS.saturating_sub(free);
    text.only("enlist_event_followers", "gauge", "Screens that follow.", followers);
}

/// What Linux tells of this process; elsewhere nothing.
fn process(text: &mut Text) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let status = read("status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kib) = kib {
        text.only("process_resident_memory_bytes", "gauge", "Memory in use.", kib * 1024);
    }
    let stat = read("stat");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        // The kernel's unit towards programs: hundredths of a second (USER_HZ).
        let spent = user + system;
        let seconds = format!("{}.{:02}", spent / 100, spent % 100);
        text.only("process_cpu_seconds_total", "counter", "Processor time spent.", seconds);
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, about: &str) {
        let _ = writeln!(self.0, "# HELP {name} {about}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn only(&mut self, name: &str, kind: &str, about: &str, value: impl Display) {
        self.family(name, kind, about);
        self.sample(name, &[], value);
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("a", &[("b", "x\"\\\n"), ("c", "d")], 1);
        assert_eq!(text.0, "a{b=\"x\\\"\\\\\\n\",c=\"d\"} 1\n");
    }
}
