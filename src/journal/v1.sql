-- Version 1. Times are RFC 3339, UTC, with milliseconds, so that text order is time order.
-- jobs, attempts, steps and profiles follow from events; check.rs proves that they do.

CREATE TABLE profiles (
    sha256      TEXT NOT NULL PRIMARY KEY,
    identifier  TEXT NOT NULL,
    uuid        TEXT NOT NULL,
    name        TEXT NOT NULL,
    first_used  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Hexadecimal, and tools disagree on its case.
    udid            TEXT NOT NULL COLLATE NOCASE,
    -- Decimal text: 64 bits without a sign do not fit INTEGER.
    ecid            TEXT,
    serial          TEXT,
    name            TEXT,
    product_type    TEXT,
    os_version      TEXT,
    imei            TEXT,
    bay             TEXT NOT NULL,
    simulated       INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    profile_sha256  TEXT NOT NULL REFERENCES profiles (sha256),
    created_at      TEXT NOT NULL,
    ended_at        TEXT,
    outcome         TEXT,
    class           TEXT,
    sentence        TEXT,
    next            TEXT,
    chain           TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(chain)),
    attempts        INTEGER NOT NULL DEFAULT 0,
    pushes          INTEGER NOT NULL DEFAULT 0,
    state           TEXT NOT NULL,
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;

-- The rule that a device is never in two open jobs for the same profile.
CREATE UNIQUE INDEX jobs_one_open ON jobs (udid, profile_sha256) WHERE ended_at IS NULL;
CREATE INDEX jobs_by_udid ON jobs (udid, id);
CREATE INDEX jobs_by_outcome ON jobs (outcome, id);
CREATE INDEX jobs_by_created ON jobs (created_at);
CREATE INDEX jobs_by_profile ON jobs (profile_sha256);

CREATE TABLE attempts (
    job         INTEGER NOT NULL REFERENCES jobs (id),
    number      INTEGER NOT NULL,
    started_at  TEXT NOT NULL,
    -- Empty while it runs.
    ended_at    TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    job         INTEGER NOT NULL REFERENCES jobs (id),
    -- 0 for a step before the first attempt.
    attempt     INTEGER NOT NULL,
    -- The event that began the step.
    seq         INTEGER NOT NULL REFERENCES events (seq),
    step        TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    -- Both empty while it runs, and for ever if it was cut short.
    ended_at    TEXT,
    result      TEXT,
    detail      TEXT,
    PRIMARY KEY (job, attempt, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_by_event ON steps (seq);

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    job   INTEGER NOT NULL REFERENCES jobs (id),
    at    TEXT NOT NULL,
    kind  TEXT NOT NULL,
    data  TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_by_job ON events (job, seq);
CREATE UNIQUE INDEX events_one_start ON events (job) WHERE kind = 'job-started';
CREATE UNIQUE INDEX events_one_end ON events (job) WHERE kind = 'job-ended';

-- What was written stays written.
CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER events_end BEFORE INSERT ON events
WHEN (SELECT ended_at FROM jobs WHERE id = NEW.job) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the job has ended'); END;
