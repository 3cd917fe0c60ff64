-- How people come by an account, and back into one: requests for a reset by mail, registrations that are not
-- complete, invitations, and text messages that wait to be sent.

-- +goose Up
-- A request to reset a password, as it was typed and before anybody has looked whether there is such an account.
-- sealed holds it: people type passwords into the wrong field.
CREATE TABLE reset_request (
    id         TEXT   PRIMARY KEY,
    sealed     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX reset_request_created ON reset_request (created_at);

-- A registration that is not complete. hash is the SHA-256 of the browser's cookie. mac is the keyed
-- hash of the code to be typed in; one that no code has is that of an address or number which is another account's. codes is how
-- many the current step has had, tries how many wrong ones the current code, names how many names were taken.
CREATE TABLE registration (
    id             TEXT    PRIMARY KEY,
    hash           TEXT    NOT NULL UNIQUE,
    host           TEXT    NOT NULL,
    network        TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    email          TEXT    NOT NULL,
    display_name   TEXT    NOT NULL,
    phone          TEXT    NOT NULL,
    language       TEXT    NOT NULL,
    phc            TEXT    NOT NULL,
    email_done     INTEGER NOT NULL DEFAULT 0,
    phone_done     INTEGER NOT NULL DEFAULT 0,
    mac            TEXT    NOT NULL,
    mac_expires_at BIGINT  NOT NULL,
    tries          INTEGER NOT NULL DEFAULT 0,
    codes          INTEGER NOT NULL,
    coded_at       BIGINT  NOT NULL,
    names          INTEGER NOT NULL DEFAULT 0,
    created_at     BIGINT  NOT NULL,
    expires_at     BIGINT  NOT NULL
);
CREATE INDEX registration_network ON registration (network);
CREATE INDEX registration_expiry ON registration (expires_at);

-- hash is the SHA-256 of the link's code. roles are separated by spaces.
CREATE TABLE invitation (
    id           TEXT   PRIMARY KEY,
    hash         TEXT   NOT NULL UNIQUE,
    email        TEXT   NOT NULL,
    email_key    TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    display_name TEXT   NOT NULL,
    language     TEXT   NOT NULL,
    roles        TEXT   NOT NULL,
    invited_by   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL DEFAULT 0,
    ended_how    TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX invitation_email ON invitation (email_key);

-- Text messages for the SMS hook. sealed holds number and text, which may hold a code.
CREATE TABLE text_message (
    id         TEXT    PRIMARY KEY,
    kind       TEXT    NOT NULL,
    sealed     TEXT    NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT  NOT NULL,
    next_at    BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX text_message_due ON text_message (next_at);

-- +goose Down
DROP TABLE text_message;
DROP TABLE invitation;
DROP TABLE registration;
DROP TABLE reset_request;
