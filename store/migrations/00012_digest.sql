-- Which daily digests of the events were mailed, and to whom (I-87): each once, whatever starts again.

-- +goose Up
CREATE TABLE event_digest (
    due_at    BIGINT NOT NULL,
    recipient TEXT   NOT NULL,
    told_at   BIGINT NOT NULL,
    PRIMARY KEY (due_at, recipient)
);

-- +goose Down
DROP TABLE event_digest;
