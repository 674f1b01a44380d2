-- State of all AWS accounts and regions. A label, alias or tag is a row under a primary key, so that "a label
-- sits on at most one version" and the like cannot be broken by any code path. An ARN is that of the account and
-- region that made the thing; what nobody made (default bus, AWS's own keys) has none and shows the caller's.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;

CREATE TABLE secret (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    arn TEXT NOT NULL UNIQUE,
    description TEXT,
    kms_key_id TEXT,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    accessed_on REAL,
    deleted_at REAL,
    purge_at REAL
) STRICT;

CREATE TABLE secret_version (
    secret_id INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    version_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('SecretString', 'SecretBinary')),
    sealed BLOB NOT NULL,
    created_at REAL NOT NULL,
    accessed_on REAL,
    PRIMARY KEY (secret_id, version_id)
) STRICT;

CREATE TABLE secret_stage (
    secret_id INTEGER NOT NULL,
    stage TEXT NOT NULL,
    version_id TEXT NOT NULL,
    PRIMARY KEY (secret_id, stage),
    FOREIGN KEY (secret_id, version_id) REFERENCES secret_version (secret_id, version_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE tag (
    kind TEXT NOT NULL CHECK (kind IN ('secret', 'parameter', 'key')),
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, owner, key)
) STRICT;

CREATE TRIGGER secret_tags_go AFTER DELETE ON secret
BEGIN
    DELETE FROM tag WHERE kind = 'secret' AND owner = OLD.name;
END;

CREATE TABLE parameter (
    name TEXT PRIMARY KEY,
    arn TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('String', 'StringList', 'SecureString')),
    latest INTEGER NOT NULL
) STRICT;

CREATE TABLE parameter_version (
    name TEXT NOT NULL REFERENCES parameter (name) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    key_id TEXT,
    description TEXT,
    allowed_pattern TEXT,
    tier TEXT NOT NULL,
    data_type TEXT NOT NULL,
    modified_at REAL NOT NULL,
    modified_by TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE parameter_label (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, label),
    FOREIGN KEY (name, version) REFERENCES parameter_version (name, version) ON DELETE CASCADE
) STRICT;

CREATE TRIGGER parameter_tags_go AFTER DELETE ON parameter
BEGIN
    DELETE FROM tag WHERE kind = 'parameter' AND owner = OLD.name;
END;

CREATE TABLE event_bus (
    name TEXT PRIMARY KEY,
    arn TEXT,
    description TEXT,
    created_at REAL NOT NULL,
    modified_at REAL NOT NULL
) STRICT;

CREATE TABLE event_rule (
    bus TEXT NOT NULL REFERENCES event_bus (name),
    name TEXT NOT NULL,
    pattern TEXT,
    schedule TEXT,
    state TEXT NOT NULL,
    description TEXT,
    role_arn TEXT,
    PRIMARY KEY (bus, name)
) STRICT;

CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    bus TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    dropped INTEGER NOT NULL,
    source TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    detail TEXT NOT NULL,
    resources TEXT NOT NULL,
    time REAL NOT NULL,
    received_at REAL NOT NULL
) STRICT;
CREATE INDEX event_by_bus ON event (bus, sequence);

CREATE TABLE kms_key (
    key_id TEXT PRIMARY KEY,
    arn TEXT,
    spec TEXT NOT NULL,
    usage TEXT NOT NULL,
    description TEXT NOT NULL,
    manager TEXT NOT NULL,
    created_at REAL NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    deletion_at REAL,
    sealed BLOB
) STRICT;

CREATE TABLE kms_alias (
    name TEXT PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES kms_key (key_id) ON DELETE CASCADE,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;
