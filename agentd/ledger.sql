-- The ledger's database, schema 1. Embedded into the programs that make and check it.
--
-- record is the ledger: rows are only ever added, body is the canonical record (agentd/record.h), hash its chain hash
-- (agentd/chain.h). Every other column and table follows from the bodies and is there to answer questions fast; a reader
-- that verifies derives them again and compares. Numbers are signed 64-bit: time in nanoseconds since 1970-01-01 UTC,
-- uid -1 for nobody, request 0 for none.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    request INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    body BLOB NOT NULL
) STRICT;

CREATE INDEX record_by_time ON record (time);
CREATE INDEX record_by_uid ON record (uid, kind);
CREATE INDEX record_by_request ON record (request, kind) WHERE request <> 0;
CREATE INDEX record_changes ON record (uid, time, changes) WHERE changes > 0;

-- Who owns an installed package: both uid and user must be those of whoever claims it. seq is the record that granted it.
CREATE TABLE ownership (
    root TEXT NOT NULL,
    name TEXT NOT NULL,
    arch TEXT NOT NULL,
    uid INTEGER NOT NULL,
    user TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (root, name, arch)
) STRICT, WITHOUT ROWID;

-- Requests that were allowed to run and have no outcome on record.
CREATE TABLE unfinished (
    request INTEGER PRIMARY KEY,
    uid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL
) STRICT;
