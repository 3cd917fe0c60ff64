-- What people say about controls, and what systems there are.

-- +goose Up
-- A statement answers or accepts a control until a day: kind is attestation or waiver. It is never changed, only ended. evidence is
-- the name, size and SHA-256 of the file that was shown; the file itself stays with its owner.
CREATE TABLE audit_statement (
    id       TEXT   PRIMARY KEY,
    kind     TEXT   NOT NULL,
    control  TEXT   NOT NULL,
    owner    TEXT   NOT NULL,
    text     TEXT   NOT NULL,
    evidence TEXT   NOT NULL,
    made_at  BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    made_by  TEXT   NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX audit_statement_until ON audit_statement (ended_at, until_at);

-- The systems that belong to the installation (I-10, F-13).
CREATE TABLE audit_asset (
    name           TEXT   PRIMARY KEY,
    address        TEXT   NOT NULL,
    zone           TEXT   NOT NULL,
    classification TEXT   NOT NULL,
    owner          TEXT   NOT NULL,
    note           TEXT   NOT NULL,
    reviewed_at    BIGINT NOT NULL,
    review_until   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE audit_asset;
DROP TABLE audit_statement;
