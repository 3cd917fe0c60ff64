-- API tokens, reviews of who holds what, and when people last signed in.

-- +goose Up
-- Sign-ins are forgotten a month after their end; a review asks who has not come for a quarter of a year.
ALTER TABLE principal ADD COLUMN last_sign_in_at BIGINT NOT NULL DEFAULT 0;
UPDATE principal SET last_sign_in_at =
    COALESCE((SELECT MAX(s.created_at) FROM sign_in s WHERE s.principal_id = principal.id), 0);

-- hash is the SHA-256 of the token's random part. privileges, hosts and networks are lists separated by spaces; no hosts or
-- networks means all. changed_at is when the token ended, or its account changed: a gateway asks every second which did.
CREATE TABLE api_token (
    id           TEXT   PRIMARY KEY,
    principal_id TEXT   NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    name         TEXT   NOT NULL,
    hash         TEXT   NOT NULL UNIQUE,
    privileges   TEXT   NOT NULL,
    hosts        TEXT   NOT NULL,
    networks     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL DEFAULT 0,
    changed_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL DEFAULT 0,
    ended_why    TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX api_token_principal ON api_token (principal_id, ended_at);
CREATE INDEX api_token_changed ON api_token (changed_at);

-- A review is a statement of somebody about the snapshot, so it is never changed.
CREATE TABLE access_review (
    id         TEXT   PRIMARY KEY,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    reviewer   TEXT   NOT NULL,
    origin     TEXT   NOT NULL,
    note       TEXT   NOT NULL,
    findings   BIGINT NOT NULL,
    snapshot   TEXT   NOT NULL
);
CREATE INDEX access_review_created ON access_review (created_at);

-- +goose Down
DROP TABLE access_review;
DROP TABLE api_token;
ALTER TABLE principal DROP COLUMN last_sign_in_at;
