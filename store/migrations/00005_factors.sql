-- Second factors: authenticator apps, recovery codes, passkeys and security keys; and what belongs to the
-- installation as a whole. What must stay secret is sealed with the key in auth.key, or only its keyed hash is here.

-- +goose Up
-- Values that are fixed once for every node that shares the database.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- An account has at most one authenticator app in use (confirmed 1) and one being set up (confirmed 0), which
-- takes its place when its first code is right. last_step is the last time step whose code was accepted.
CREATE TABLE totp (
    principal_id TEXT    NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    confirmed    INTEGER NOT NULL,
    sealed       TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    last_step    BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (principal_id, confirmed)
);

-- When wrong codes of an authenticator app were given, within the last day, separated by spaces.
CREATE TABLE wrong_code (
    principal_id TEXT PRIMARY KEY REFERENCES principal (id) ON DELETE CASCADE,
    times        TEXT NOT NULL
);

CREATE TABLE recovery_code (
    principal_id TEXT   NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    mac          TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (principal_id, mac)
);

-- A credential record of WebAuthn Level 3, section 4. user_verified is its uvInitialized.
CREATE TABLE passkey (
    id              TEXT    PRIMARY KEY,
    principal_id    TEXT    NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    credential_id   TEXT    NOT NULL UNIQUE,
    public_key      TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    aaguid          TEXT    NOT NULL,
    transports      TEXT    NOT NULL,
    attachment      TEXT    NOT NULL,
    sign_count      BIGINT  NOT NULL,
    user_verified   INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL,
    backed_up       INTEGER NOT NULL,
    created_at      BIGINT  NOT NULL,
    last_used_at    BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX passkey_principal ON passkey (principal_id);

-- What was sealed, handed out and has served its purpose: it must not serve again before it expires by itself.
CREATE TABLE used_once (
    hash       TEXT   PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_once_expiry ON used_once (expires_at);

-- +goose Down
DROP TABLE used_once;
DROP TABLE passkey;
DROP TABLE recovery_code;
DROP TABLE wrong_code;
DROP TABLE totp;
DROP TABLE setting;
