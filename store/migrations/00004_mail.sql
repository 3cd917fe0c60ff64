-- Mail that waits to be sent, and for 30 days what became of it, then without its content: that holds one-time links.

-- +goose Up
-- recipient_key is the recipient with case folded, for the cap on what waits for one. next_at is when a waiting
-- message is due; a process that takes one writes its claim and moves next_at to when the claim ends.
CREATE TABLE mail (
    id            TEXT    PRIMARY KEY,
    kind          TEXT    NOT NULL,
    recipient     TEXT    NOT NULL,
    recipient_key TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT  NOT NULL,
    next_at       BIGINT  NOT NULL,
    claim         TEXT    NOT NULL DEFAULT '',
    tries         INTEGER NOT NULL DEFAULT 0,
    done_at       BIGINT  NOT NULL DEFAULT 0,
    result        TEXT    NOT NULL DEFAULT '',
    language      TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    text_body     TEXT    NOT NULL,
    html_body     TEXT    NOT NULL
);
CREATE INDEX mail_due ON mail (next_at) WHERE state = 'waiting';
CREATE INDEX mail_recipient ON mail (recipient_key) WHERE state = 'waiting';
CREATE INDEX mail_done ON mail (done_at) WHERE state <> 'waiting';

-- +goose Down
DROP TABLE mail;
