-- Who is refused, slowed down or challenged, until when, and why; and the programs elsewhere that ask for it.

-- +goose Up
-- One row counts the changes of the list, so that every node sees what the others did: each changed row takes the next number. secret
-- signs what a browser keeps of an answered challenge, on all nodes alike.
CREATE TABLE decision_head (
    id       INTEGER PRIMARY KEY,
    revision BIGINT  NOT NULL,
    secret   TEXT    NOT NULL
);
INSERT INTO decision_head (id, revision, secret) VALUES (1, 0, '');

-- until_at 0 is for good. ended_at is when somebody lifted it, or something longer took its place; what only ran out has none. target is the
-- canonical text: 192.0.2.7/32, account:maria, country:XX. number is the id for programs that want an integer.
CREATE TABLE decision (
    id           TEXT    PRIMARY KEY,
    number       BIGINT  NOT NULL,
    revision     BIGINT  NOT NULL,
    target       TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    evidence     TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    until_at     BIGINT  NOT NULL,
    repeats      INTEGER NOT NULL,
    spoofable    INTEGER NOT NULL,
    ended_at     BIGINT  NOT NULL DEFAULT 0,
    ended_why    TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX decision_standing ON decision (target, action) WHERE ended_at = 0;
CREATE UNIQUE INDEX decision_number ON decision (number);
CREATE INDEX decision_revision ON decision (revision);
CREATE INDEX decision_until ON decision (until_at);
CREATE INDEX decision_ended ON decision (ended_at);

-- What a target did, for escalation, and which triggers were answered already. counted is 1 for what made a decision.
CREATE TABLE decision_offence (
    trigger_key TEXT    PRIMARY KEY,
    target      TEXT    NOT NULL,
    at          BIGINT  NOT NULL,
    stored_at   BIGINT  NOT NULL,
    counted     INTEGER NOT NULL
);
CREATE INDEX decision_offence_target ON decision_offence (target, at);
CREATE INDEX decision_offence_stored ON decision_offence (stored_at);

-- The last good answer for each name of the allow list: a name server that is away must not open anybody to a ban.
CREATE TABLE decision_name (
    name        TEXT   PRIMARY KEY,
    addresses   TEXT   NOT NULL,
    resolved_at BIGINT NOT NULL
);

-- Programs that read the list by CrowdSec's protocol. key_hash is SHA-256 in hexadecimal. revision and pulled_at are how far each has read.
CREATE TABLE decision_bouncer (
    name       TEXT   PRIMARY KEY,
    key_hash   TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    used_at    BIGINT NOT NULL DEFAULT 0,
    address    TEXT   NOT NULL DEFAULT '',
    agent      TEXT   NOT NULL DEFAULT '',
    revision   BIGINT NOT NULL DEFAULT 0,
    pulled_at  BIGINT NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE decision_bouncer;
DROP TABLE decision_name;
DROP TABLE decision_offence;
DROP TABLE decision;
DROP TABLE decision_head;
