-- +goose Up

-- Where each source goes on, and what each pipeline has counted up to there. One pipeline's rows are written in one transaction, so
-- that what is read again after a crash is counted by nobody already.
CREATE TABLE watch_position (
    pipeline TEXT NOT NULL,
    source   TEXT NOT NULL,
    place    TEXT NOT NULL, -- such as the path of a log
    position TEXT NOT NULL, -- hexadecimal; the source's own words
    saved_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, source, place)
);

CREATE TABLE watch_state (
    pipeline TEXT PRIMARY KEY,
    state    TEXT NOT NULL, -- hexadecimal
    saved_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE watch_state;
DROP TABLE watch_position;
