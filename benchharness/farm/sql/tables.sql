-- What a farm keeps beside Procrastinate's queue, which is in the schema `queue`, and the store, in `store`.
-- Members read and write none of it: they call functions, which look at `session_user`: the name in the certificate.

CREATE SCHEMA farm;

-- A lease is renewed by the agent; a device gives up so long after it last heard of its agent.
CREATE TABLE farm.settings (
    lease_s double precision NOT NULL CHECK (lease_s > 0),
    device_s double precision NOT NULL CHECK (device_s > 0),
    most_losses integer NOT NULL,  -- of one job, and of one device in a row
    keep_jobs interval NOT NULL DEFAULT '30 days' CHECK (keep_jobs >= '1 day'),  -- that have ended and were told of
    keep_audit interval NOT NULL DEFAULT '365 days' CHECK (keep_audit >= '30 days'),
    keep_files interval NOT NULL DEFAULT '1 day' CHECK (keep_files >= '1 hour')  -- that no submission names
);
INSERT INTO farm.settings VALUES (60, 30, 3);

CREATE TABLE farm.members (
    role name PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('agent', 'submitter', 'reader', 'scheduler')),
    serial numeric NOT NULL,  -- of the certificate
    enrolled timestamptz NOT NULL DEFAULT now(),
    revoked timestamptz
);

CREATE TABLE farm.devices (
    name text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,  -- of its advisory lock
    host name NOT NULL REFERENCES farm.members,
    labels jsonb NOT NULL,
    worker bigint,  -- Procrastinate's
    seen timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'draining', 'quarantined')),
    why text NOT NULL DEFAULT '',
    losses integer NOT NULL DEFAULT 0  -- since it last handed in a result
);

-- A queue of Procrastinate's for each thing that is wanted of a device: labels, and devices that are not meant.
CREATE TABLE farm.queues (
    name text PRIMARY KEY,
    wanted jsonb NOT NULL
);

CREATE TABLE farm.submissions (
    id uuid PRIMARY KEY,
    by name NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    told text NOT NULL,  -- what was signed, byte for byte
    signature text NOT NULL,
    signer text NOT NULL,
    nightly text,  -- when it runs again
    cancelled timestamptz
);
CREATE INDEX ON farm.submissions (at);

CREATE TABLE farm.jobs (
    id bigint PRIMARY KEY,  -- Procrastinate's
    submission uuid NOT NULL REFERENCES farm.submissions,
    night integer NOT NULL,  -- how often the submission had run before
    wanted jsonb NOT NULL,
    deadline timestamptz,
    losses integer NOT NULL DEFAULT 0,
    why text NOT NULL DEFAULT ''  -- it ended without a result
);
CREATE INDEX ON farm.jobs (submission, night);
CREATE INDEX ON farm.jobs (deadline) WHERE deadline IS NOT NULL;

-- Each time that a submission was queued. Reported: what became of it was told, on pages and to the webhook.
CREATE TABLE farm.nights (
    submission uuid NOT NULL REFERENCES farm.submissions,
    night integer NOT NULL,
    queued timestamptz NOT NULL DEFAULT now(),
    reported timestamptz,
    PRIMARY KEY (submission, night)
);
CREATE INDEX ON farm.nights (queued) WHERE reported IS NULL;

CREATE TABLE farm.leases (
    token uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job bigint NOT NULL REFERENCES farm.jobs,
    device text NOT NULL REFERENCES farm.devices,
    host name NOT NULL,
    begun timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz NOT NULL,
    ended timestamptz,
    why text NOT NULL DEFAULT ''
);
-- One job on a device, and one device for a job, whatever else goes wrong.
CREATE UNIQUE INDEX one_job_a_device ON farm.leases (device) WHERE ended IS NULL;
CREATE UNIQUE INDEX one_device_a_job ON farm.leases (job) WHERE ended IS NULL;
CREATE INDEX ON farm.leases (job);

CREATE TABLE farm.results (
    job bigint PRIMARY KEY REFERENCES farm.jobs,  -- one each, whoever comes first through the fence
    token uuid NOT NULL UNIQUE,
    host name NOT NULL,
    device text NOT NULL,
    digest bytea NOT NULL,
    parcel text,  -- until the scheduler took it into the store
    handed_in timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken timestamptz,
    run text,  -- of the store
    trouble text NOT NULL DEFAULT ''  -- why the store refused it
);
CREATE INDEX ON farm.results (handed_in) WHERE taken IS NULL;

CREATE TABLE farm.files (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    whole boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT now()  -- it was last sent, or asked for by who submits
);
CREATE TABLE farm.file_parts (
    digest text NOT NULL REFERENCES farm.files,
    part integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (digest, part)
);
ALTER TABLE farm.file_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;  -- models do not compress

-- Who did what. Nobody changes it; a function writes it.
CREATE TABLE farm.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who name NOT NULL DEFAULT session_user,
    what text NOT NULL,
    about text NOT NULL,
    told text NOT NULL DEFAULT '',
    refused boolean NOT NULL DEFAULT false
);
CREATE INDEX ON farm.audit (at) WHERE refused;
CREATE INDEX ON farm.audit (at);

CREATE FUNCTION farm.note(p_what text, p_about text, p_told text DEFAULT '') RETURNS void
LANGUAGE sql AS $$
    INSERT INTO farm.audit (what, about, told) VALUES (p_what, left(p_about, 200), left(p_told, 1000));
$$;

-- A line in the server's log and a row in the trail. Who is refused gets nothing, and nothing is undone by an error.
CREATE FUNCTION farm.refuse(p_what text, p_about text, p_why text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO farm.audit (what, about, told, refused) VALUES (p_what, left(p_about, 200), left(p_why, 1000), true);
    RAISE LOG 'farm: refused % of % to %: %', p_what, left(p_about, 200), session_user, p_why;
END;
$$;
