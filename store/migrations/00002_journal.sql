-- The journal of administrative actions: entries, the Merkle tree's stored hashes (hexadecimal), and the
-- one head row that every append locks, so that entries have one order on both dialects.

-- +goose Up
CREATE TABLE journal_entry (
    idx         BIGINT PRIMARY KEY,
    at          BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    origin      TEXT   NOT NULL,
    action      TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    before_json TEXT   NOT NULL,
    after_json  TEXT   NOT NULL
);

CREATE TABLE journal_hash (
    idx  BIGINT PRIMARY KEY,
    hash TEXT   NOT NULL
);

CREATE TABLE journal_head (
    id   INTEGER PRIMARY KEY,
    size BIGINT  NOT NULL,
    note TEXT    NOT NULL
);
INSERT INTO journal_head (id, size, note) VALUES (1, 0, '');

-- +goose Down
DROP TABLE journal_head;
DROP TABLE journal_hash;
DROP TABLE journal_entry;
