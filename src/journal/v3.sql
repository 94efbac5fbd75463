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
