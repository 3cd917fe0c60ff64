-- What a sign-in may need besides the password, and what is known of where people come from.

-- +goose Up
-- phone is E.164; phone_key is NULL without one, so that one phone number belongs to one account (M-12). origin says
-- who made the account: local, registered, oidc:NAME or ldap:NAME. must_change asks for a new password at the next sign-in.
ALTER TABLE principal ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN phone_key TEXT;
ALTER TABLE principal ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN origin TEXT NOT NULL DEFAULT 'local';
ALTER TABLE principal ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX principal_phone ON principal (phone_key);

-- methods says by what the person was recognised, in order: password, totp, recovery, passkey, oidc:NAME, ldap:NAME.
-- provider and provider_sid are the session at another system, whose sign-out ends this one.
ALTER TABLE sign_in ADD COLUMN methods TEXT NOT NULL DEFAULT 'password';
ALTER TABLE sign_in ADD COLUMN remember INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sign_in ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE sign_in ADD COLUMN provider_sid TEXT NOT NULL DEFAULT '';
CREATE INDEX sign_in_provider ON sign_in (provider, provider_sid);

-- A sign-in that has begun and lacks a step. hash is the SHA-256 of the browser's cookie, link_hash that of the
-- mailed link's code. level and methods are what was proved so far.
CREATE TABLE pending_sign_in (
    id           TEXT    PRIMARY KEY,
    hash         TEXT    NOT NULL UNIQUE,
    principal_id TEXT    NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    phc          TEXT    NOT NULL,
    realm        TEXT    NOT NULL,
    host         TEXT    NOT NULL,
    site         TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL,
    return_to    TEXT    NOT NULL,
    previous     TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    level        INTEGER NOT NULL,
    want         INTEGER NOT NULL,
    methods      TEXT    NOT NULL,
    remember     INTEGER NOT NULL,
    provider     TEXT    NOT NULL,
    provider_sid TEXT    NOT NULL,
    failures     INTEGER NOT NULL DEFAULT 0,
    link_hash    TEXT,
    released_at  BIGINT  NOT NULL DEFAULT 0,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL
);
CREATE UNIQUE INDEX pending_sign_in_link ON pending_sign_in (link_hash);
CREATE INDEX pending_sign_in_principal ON pending_sign_in (principal_id, created_at);
CREATE INDEX pending_sign_in_expiry ON pending_sign_in (expires_at);

-- Networks that a person has signed in from (IPv4 address, IPv6 /64). trusted_until is 0 for one that is only known.
CREATE TABLE known_address (
    principal_id  TEXT   NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    prefix        TEXT   NOT NULL,
    how           TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    trusted_until BIGINT NOT NULL,
    PRIMARY KEY (principal_id, prefix)
);

-- Browsers that a person has signed in with: hash is the SHA-256 of a cookie that opens nothing.
CREATE TABLE known_device (
    principal_id TEXT   NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    hash         TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (principal_id, hash)
);

-- One-time links in mails. kind says what the link does; data belongs to that kind.
CREATE TABLE mailed_link (
    hash         TEXT   PRIMARY KEY,
    kind         TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    data         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX mailed_link_principal ON mailed_link (principal_id, kind, created_at);
CREATE INDEX mailed_link_expiry ON mailed_link (expires_at);

-- Failed sign-ins that their account's person has not been told of yet.
CREATE TABLE failure_notice (
    principal_id TEXT   PRIMARY KEY REFERENCES principal (id) ON DELETE CASCADE,
    failures     BIGINT NOT NULL,
    addresses    TEXT   NOT NULL,
    host         TEXT   NOT NULL,
    realm        TEXT   NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    mailed_at    BIGINT NOT NULL
);

-- Counts of failures in fixed windows; key names what is counted, window_start which window.
CREATE TABLE sign_in_rate (
    key          TEXT   NOT NULL,
    window_start BIGINT NOT NULL,
    count        BIGINT NOT NULL,
    PRIMARY KEY (key, window_start)
);
CREATE INDEX sign_in_rate_window ON sign_in_rate (window_start);

-- Who an account is at another system.
CREATE TABLE external_identity (
    provider     TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    principal_id TEXT   NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (provider, subject)
);
CREATE INDEX external_identity_principal ON external_identity (principal_id);

-- +goose Down
DROP TABLE external_identity;
DROP TABLE sign_in_rate;
DROP TABLE failure_notice;
DROP TABLE mailed_link;
DROP TABLE known_device;
DROP TABLE known_address;
DROP TABLE pending_sign_in;
DROP INDEX sign_in_provider;
ALTER TABLE sign_in DROP COLUMN provider_sid;
ALTER TABLE sign_in DROP COLUMN provider;
ALTER TABLE sign_in DROP COLUMN remember;
ALTER TABLE sign_in DROP COLUMN methods;
DROP INDEX principal_phone;
ALTER TABLE principal DROP COLUMN must_change;
ALTER TABLE principal DROP COLUMN origin;
ALTER TABLE principal DROP COLUMN language;
ALTER TABLE principal DROP COLUMN phone_key;
ALTER TABLE principal DROP COLUMN phone;
