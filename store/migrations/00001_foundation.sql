-- Principals, their passwords, sign-ins and sessions. One text for SQLite and PostgreSQL: times are BIGINT
-- microseconds since 1970 UTC, ids UUIDv7 text, truth values 0 and 1, bytes hexadecimal text.

-- +goose Up
CREATE TABLE store_probe (
    id INTEGER PRIMARY KEY,
    at BIGINT  NOT NULL
);
INSERT INTO store_probe (id, at) VALUES (1, 0);

-- name_key and email_key are the folded forms that sign-in looks up; email_key is NULL without an e-mail.
CREATE TABLE principal (
    id           TEXT   PRIMARY KEY,
    name         TEXT   NOT NULL,
    name_key     TEXT   NOT NULL UNIQUE,
    email        TEXT   NOT NULL DEFAULT '',
    email_key    TEXT   UNIQUE,
    display_name TEXT   NOT NULL DEFAULT '',
    disabled_at  BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL
);

CREATE TABLE principal_role (
    principal_id TEXT NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    role         TEXT NOT NULL,
    PRIMARY KEY (principal_id, role)
);

-- A password is never changed in place: a new row becomes the current one and the old rows are the history.
CREATE TABLE password (
    principal_id TEXT    NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    created_at   BIGINT  NOT NULL,
    phc          TEXT    NOT NULL,
    current      INTEGER NOT NULL,
    PRIMARY KEY (principal_id, created_at)
);
CREATE UNIQUE INDEX password_current ON password (principal_id) WHERE current = 1;

-- One sign-in is one session record; it has one token for each host that it reaches.
CREATE TABLE sign_in (
    id           TEXT    PRIMARY KEY,
    principal_id TEXT    NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    realm        TEXT    NOT NULL,
    level        INTEGER NOT NULL,
    address      TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL DEFAULT '',
    created_at   BIGINT  NOT NULL,
    last_seen_at BIGINT  NOT NULL,
    idle_seconds BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL,
    ended_at     BIGINT  NOT NULL DEFAULT 0,
    ended_why    TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX sign_in_principal ON sign_in (principal_id, ended_at);
CREATE INDEX sign_in_expiry ON sign_in (expires_at);
-- A gateway asks every few seconds which sessions another one has ended.
CREATE INDEX sign_in_ended ON sign_in (ended_at);

-- hash is the token's SHA-256 in hexadecimal: who reads the database cannot use the sessions in it.
CREATE TABLE session_token (
    hash       TEXT   PRIMARY KEY,
    sign_in_id TEXT   NOT NULL REFERENCES sign_in (id) ON DELETE CASCADE,
    host       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (sign_in_id, host)
);

-- Failures in a row and the wait they brought, by address; in the database so that a restart does not
-- forgive them. accounts has the principal id of each failure, - for none, separated by spaces: a success
-- takes away only its own account's.
CREATE TABLE sign_in_failure (
    key        TEXT    PRIMARY KEY,
    accounts   TEXT    NOT NULL DEFAULT '',
    failures   INTEGER NOT NULL,
    wait_until BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX sign_in_failure_updated ON sign_in_failure (updated_at);

-- +goose Down
DROP TABLE sign_in_failure;
DROP TABLE session_token;
DROP TABLE sign_in;
DROP TABLE password;
DROP TABLE principal_role;
DROP TABLE principal;
DROP TABLE store_probe;
