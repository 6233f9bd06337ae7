-- The schema of version 1, as it was released.

-- next

CREATE TABLE audit (
    id SERIAL NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    event TEXT DEFAULT '' NOT NULL,
    actor TEXT DEFAULT '' NOT NULL,
    team TEXT DEFAULT '' NOT NULL,
    channel TEXT DEFAULT '' NOT NULL,
    registry TEXT DEFAULT '' NOT NULL,
    request_id INTEGER,
    repository TEXT DEFAULT '' NOT NULL,
    tag TEXT DEFAULT '' NOT NULL,
    digest TEXT DEFAULT '' NOT NULL,
    rule TEXT DEFAULT '' NOT NULL,
    plan_hash TEXT DEFAULT '' NOT NULL,
    detail JSON NOT NULL,
    previous_hash TEXT DEFAULT '' NOT NULL,
    hash TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id)
)

-- next

CREATE INDEX audit_by_request ON audit (request_id)

-- next

CREATE TABLE jobs (
    id SERIAL NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    registry TEXT DEFAULT '' NOT NULL,
    exclusive BOOLEAN NOT NULL,
    request_id INTEGER,
    payload JSON NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    run_at DOUBLE PRECISION NOT NULL,
    worker TEXT DEFAULT '' NOT NULL,
    fence INTEGER DEFAULT '0' NOT NULL,
    lease_until DOUBLE PRECISION,
    attempts INTEGER DEFAULT '0' NOT NULL,
    dedupe TEXT,
    created_at DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    outcome TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (dedupe)
)

-- next

CREATE INDEX jobs_due ON jobs (state, run_at)

-- next

CREATE UNIQUE INDEX jobs_one_exclusive ON jobs (registry) WHERE exclusive AND state = 'running'

-- next

CREATE TABLE manifests (
    digest TEXT NOT NULL,
    media_type TEXT DEFAULT '' NOT NULL,
    body BYTEA NOT NULL,
    config JSON,
    PRIMARY KEY (digest)
)

-- next

CREATE TABLE meta (
    key TEXT NOT NULL,
    value TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (key)
)

-- next

CREATE TABLE outbox (
    id SERIAL NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    key TEXT DEFAULT '' NOT NULL,
    request_id INTEGER,
    payload JSON NOT NULL,
    response_url TEXT,
    state TEXT DEFAULT 'queued' NOT NULL,
    run_at DOUBLE PRECISION NOT NULL,
    worker TEXT DEFAULT '' NOT NULL,
    lease_until DOUBLE PRECISION,
    attempts INTEGER DEFAULT '0' NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    sent_ts TEXT DEFAULT '' NOT NULL,
    error TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id)
)

-- next

CREATE INDEX outbox_by_key ON outbox (key, id)

-- next

CREATE INDEX outbox_due ON outbox (state, run_at)

-- next

CREATE TABLE requests (
    id SERIAL NOT NULL,
    token TEXT NOT NULL,
    registry TEXT DEFAULT '' NOT NULL,
    action TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    requester TEXT DEFAULT '' NOT NULL,
    team TEXT DEFAULT '' NOT NULL,
    channel TEXT DEFAULT '' NOT NULL,
    message_ts TEXT DEFAULT '' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    plan JSON NOT NULL,
    rule TEXT DEFAULT '' NOT NULL,
    rule_fingerprint TEXT DEFAULT '' NOT NULL,
    approval TEXT DEFAULT '' NOT NULL,
    approvals_needed INTEGER NOT NULL,
    approvers JSON NOT NULL,
    allow_self_approval BOOLEAN NOT NULL,
    execute_within DOUBLE PRECISION NOT NULL,
    undo_window DOUBLE PRECISION NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    decided_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    undo_until DOUBLE PRECISION,
    edited_at DOUBLE PRECISION,
    subject INTEGER,
    abort_by TEXT DEFAULT '' NOT NULL,
    progress JSON NOT NULL,
    result JSON NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (token)
)

-- next

CREATE INDEX requests_by_state ON requests (registry, state)

-- next

CREATE TABLE decisions (
    request_id INTEGER NOT NULL,
    team TEXT NOT NULL,
    user_id TEXT NOT NULL,
    approves BOOLEAN NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (request_id, team, user_id),
    FOREIGN KEY(request_id) REFERENCES requests (id)
)

-- next

CREATE TABLE items (
    request_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    repository TEXT DEFAULT '' NOT NULL,
    tag TEXT DEFAULT '' NOT NULL,
    digest TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    placeholder TEXT DEFAULT '' NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (request_id, position),
    FOREIGN KEY(request_id) REFERENCES requests (id)
)

-- next

CREATE TABLE windows (
    request_id INTEGER NOT NULL,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    registry TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    until DOUBLE PRECISION NOT NULL,
    size BIGINT DEFAULT '0' NOT NULL,
    holder TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (request_id, repository, digest),
    FOREIGN KEY(request_id) REFERENCES requests (id)
)

-- next

CREATE INDEX windows_open ON windows (registry, state)

-- next

CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END$$

-- next

CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()

-- next

INSERT INTO meta (key, value) VALUES ('schema', '1')
