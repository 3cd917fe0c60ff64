-- What administrators left out of the firewall's rules (I-24, F-07). The head's row orders the changes and tells other nodes that there are some.

-- +goose Up
CREATE TABLE waf_exclusion (
    id         TEXT    PRIMARY KEY,
    site       TEXT    NOT NULL, -- its first host
    path       TEXT    NOT NULL, -- a prefix of whole segments
    rule       BIGINT  NOT NULL,
    target     TEXT    NOT NULL, -- ARGS:body, in the words of rules; empty: the rule does not run
    reason     TEXT    NOT NULL,
    request    TEXT    NOT NULL, -- the request that it was made of
    created_at BIGINT  NOT NULL,
    created_by TEXT    NOT NULL
);

CREATE TABLE waf_exclusion_head (
    id       INTEGER PRIMARY KEY,
    revision BIGINT  NOT NULL
);
INSERT INTO waf_exclusion_head (id, revision) VALUES (1, 0);

-- +goose Down
DROP TABLE waf_exclusion_head;
DROP TABLE waf_exclusion;
