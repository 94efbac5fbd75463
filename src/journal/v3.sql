-- Version 3: what a station of many devices keeps beside its jobs.

-- Profiles this station met in files, by what is in them. No events tell this: a file is
-- no part of a job. Secrets of a profile are in none of these columns.
CREATE TABLE library (
    sha256          TEXT NOT NULL PRIMARY KEY,
    -- Without wrappers and signature: equal for the same export, however it was wrapped.
    content_sha256  TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('scep', 'acme', 'pkcs12', 'none')),
    identifier      TEXT NOT NULL,
    uuid            TEXT NOT NULL,
    name            TEXT,
    server          TEXT,
    signer          TEXT,
    -- The best sign of its age, what told it, and when it ends by that.
    exported_at     TEXT,
    told_by         TEXT,
    ends            TEXT,
    -- The operator's word on the day of export: asked once (profiles-and-enrollment.md 3.4).
    stated          TEXT,
    -- Why it cannot be pushed, whatever its age.
    problem         TEXT,
    first_seen      TEXT NOT NULL,
    last_seen       TEXT NOT NULL,
    CHECK (first_seen <= last_seen)
) STRICT, WITHOUT ROWID;
CREATE INDEX library_by_content ON library (content_sha256);

CREATE TABLE library_files (
    folder      TEXT NOT NULL,
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL REFERENCES library (sha256),
    first_seen  TEXT NOT NULL,
    last_seen   TEXT NOT NULL,
    -- Empty while the file is there with this content.
    gone        TEXT,
    PRIMARY KEY (folder, name, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX library_files_by_profile ON library_files (sha256);

-- A batch is opened, stopped and closed by whoever asks, beside a running station or without
-- one; batch_jobs follows from events.
CREATE TABLE batches (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL,
    -- SHA-256 of the manifest, hex.
    manifest      TEXT NOT NULL,
    unexpected    TEXT NOT NULL CHECK (unexpected IN ('refuse', 'ask', 'allow')),
    -- Equal faults in a row that stop it; 0: never.
    stop_after    INTEGER NOT NULL,
    opened_at     TEXT NOT NULL,
    closed_at     TEXT,
    -- The last event when it was closed: what came after is not in its report.
    closed_seq    INTEGER,
    -- Hash of the last entry of its report.
    seal          TEXT,
    stopped_at    TEXT,
    stop_reason   TEXT,
    stop_next     TEXT,
    -- Faults up to this event do not count any more.
    forgiven_seq  INTEGER NOT NULL DEFAULT 0,
    CHECK ((closed_at IS NULL) = (closed_seq IS NULL))
) STRICT;
CREATE UNIQUE INDEX batches_one_open ON batches ((closed_at IS NULL)) WHERE closed_at IS NULL;

CREATE TABLE batch_entries (
    batch      INTEGER NOT NULL REFERENCES batches (id),
    -- Of the manifest, from 1.
    line       INTEGER NOT NULL,
    serial     TEXT,
    imei       TEXT,
    name       TEXT,
    tag        TEXT,
    blueprint  TEXT,
    PRIMARY KEY (batch, line),
    CHECK (serial IS NOT NULL OR imei IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_entries_by_serial ON batch_entries (batch, serial);
-- The check digit is not always there.
CREATE INDEX batch_entries_by_imei ON batch_entries (batch, substr(imei, 1, 14));

-- Devices that somebody let in though the manifest does not name them.
CREATE TABLE batch_allowed (
    batch   INTEGER NOT NULL REFERENCES batches (id),
    device  TEXT NOT NULL COLLATE NOCASE,
    at      TEXT NOT NULL,
    PRIMARY KEY (batch, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_jobs (
    job        INTEGER NOT NULL PRIMARY KEY REFERENCES jobs (id),
    batch      INTEGER NOT NULL REFERENCES batches (id),
    -- Empty for a device that the manifest does not name.
    line       INTEGER,
    blueprint  TEXT
) STRICT;
CREATE INDEX batch_jobs_by_line ON batch_jobs (batch, line);

-- Commands that were run after a job.
CREATE TABLE hook_runs (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    job     INTEGER NOT NULL REFERENCES jobs (id),
    at      TEXT NOT NULL,
    hook    TEXT NOT NULL,
    -- done, failed, too-late or not-started.
    result  TEXT NOT NULL,
    code    INTEGER,
    ms      INTEGER NOT NULL,
    output  TEXT NOT NULL
) STRICT;
CREATE INDEX hook_runs_by_job ON hook_runs (job);
