-- What other scanners have found, and what was told of it by mail.

-- +goose Up
-- A waiver may accept one finding of a scan, by its id, in place of the whole control.
ALTER TABLE audit_statement ADD COLUMN finding TEXT NOT NULL DEFAULT '';

-- A scan that somebody imported. targets, counts and findings are JSON that only the program reads; findings are the gravest. stated: the
-- file did not say when the scan was, and whoever imported it did.
CREATE TABLE audit_scan (
    id         TEXT    PRIMARY KEY,
    kind       TEXT    NOT NULL,
    tool       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    format     TEXT    NOT NULL,
    targets    TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    scanned_at BIGINT  NOT NULL,
    stated     INTEGER NOT NULL,
    counts     TEXT    NOT NULL,
    findings   TEXT    NOT NULL,
    file       TEXT    NOT NULL,
    size       BIGINT  NOT NULL,
    sha256     TEXT    NOT NULL,
    made_at    BIGINT  NOT NULL,
    until_at   BIGINT  NOT NULL,
    made_by    TEXT    NOT NULL
);
CREATE INDEX audit_scan_time ON audit_scan (scanned_at);

-- What was mailed, so that it is mailed once: the id of a statement, system or scan and how many days before its end, or a profile and
-- the time of its report.
CREATE TABLE audit_told (
    subject TEXT   NOT NULL,
    mark    TEXT   NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (subject, mark)
);

-- +goose Down
DROP TABLE audit_told;
DROP TABLE audit_scan;
ALTER TABLE audit_statement DROP COLUMN finding;
