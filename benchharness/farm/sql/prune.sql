-- What nobody asks for any more goes: jobs that have ended with all that was theirs, submissions without jobs, files
-- without submissions, the trail after its time. Figures are in the store, of which nothing is touched here.

-- How long is the owner's word, which stands in `settings`: whoever calls this can shorten nothing. How much went, by
-- what it was; of jobs and files so many at a time that nobody waits for it. All of it is gone where `jobs` and `files` are 0.
CREATE FUNCTION farm.prune(p_most integer DEFAULT 2000) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    keep settings;
    over bigint[];
    gone jsonb := '{}';
    count bigint;
BEGIN
    SELECT * INTO keep FROM settings;
    -- A job is over when its night was told of and its result, if it has one, is in the store or was refused there.
    SELECT array_agg(id) INTO over FROM (
        SELECT jobs.id FROM jobs
        JOIN procrastinate_jobs USING (id)
        JOIN nights ON nights.submission = jobs.submission AND nights.night = jobs.night
        LEFT JOIN results ON results.job = jobs.id
        WHERE status NOT IN ('todo', 'doing')
            AND reported < now() - keep.keep_jobs
            AND (results.job IS NULL OR results.taken < now() - keep.keep_jobs)
            AND NOT EXISTS (SELECT FROM leases WHERE leases.job = jobs.id AND ended IS NULL)
        ORDER BY jobs.id LIMIT p_most
        FOR UPDATE OF jobs SKIP LOCKED
    ) ended;
    DELETE FROM leases WHERE job = ANY (over);
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('leases', count);
    DELETE FROM results WHERE job = ANY (over);
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('results', count);
    DELETE FROM jobs WHERE id = ANY (over);
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('jobs', count);
    DELETE FROM procrastinate_jobs WHERE id = ANY (over);  -- its events go with it

    -- The newest night of what runs again says when that is due, and which number is next.
    DELETE FROM nights WHERE reported < now() - keep.keep_jobs
        AND NOT EXISTS (SELECT FROM jobs WHERE jobs.submission = nights.submission AND jobs.night = nights.night)
        AND NOT (
            night = (SELECT max(night) FROM nights newer WHERE newer.submission = nights.submission)
            AND EXISTS (SELECT FROM submissions WHERE id = nights.submission AND nightly IS NOT NULL)
        );
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('nights', count);
    DELETE FROM submissions WHERE nightly IS NULL AND at < now() - keep.keep_jobs
        AND NOT EXISTS (SELECT FROM nights WHERE submission = submissions.id)
        AND NOT EXISTS (SELECT FROM jobs WHERE submission = submissions.id);
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('submissions', count);

    gone := gone || prune_files(p_most) || prune_queues();
    DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < now() - keep.keep_audit ORDER BY id LIMIT p_most * 10);
    GET DIAGNOSTICS count = ROW_COUNT;
    gone := gone || jsonb_build_object('audit', count);
    IF EXISTS (SELECT FROM jsonb_each_text(gone) WHERE value <> '0') THEN
        PERFORM note('pruned', 'the farm''s tables', gone::text);
    END IF;
    RETURN gone;
END;
$$;

-- Files that no submission names. What was sent, or asked for, of late may be of one that is about to come.
CREATE FUNCTION farm.prune_files(p_most integer) RETURNS jsonb
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    unwanted text[];
    bytes bigint;
BEGIN
    SELECT array_agg(digest) INTO unwanted FROM (
        SELECT digest FROM files WHERE at < now() - (SELECT keep_files FROM settings) AND digest NOT IN (
            SELECT each ->> 'sha256' FROM submissions, jsonb_array_elements(told::jsonb -> 'files') each
            WHERE each ->> 'sha256' IS NOT NULL
        ) ORDER BY at LIMIT p_most FOR UPDATE SKIP LOCKED
    ) old;
    WITH parts AS (DELETE FROM file_parts WHERE digest = ANY (unwanted) RETURNING length(file_parts.bytes) AS size)
        SELECT coalesce(sum(size), 0) INTO bytes FROM parts;
    DELETE FROM files WHERE digest = ANY (unwanted);
    RETURN jsonb_build_object('files', coalesce(cardinality(unwanted), 0), 'file_bytes', bytes);
END;
$$;

-- Queues of what nobody waits for. Who queues a job looks for its queue in the same breath: not in between.
CREATE FUNCTION farm.prune_queues() RETURNS jsonb
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    count bigint;
BEGIN
    LOCK TABLE queues IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM queues WHERE name NOT IN (
        SELECT queue_name FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND task_name = 'job of a farm'
    );
    GET DIAGNOSTICS count = ROW_COUNT;
    RETURN jsonb_build_object('queues', count);
END;
$$;

-- The owner's: how long things are kept. Nothing stays as it is where NULL is given.
CREATE FUNCTION farm.keep(p_jobs interval, p_audit interval) RETURNS farm.settings
LANGUAGE sql SET search_path = farm, pg_temp AS $$
    UPDATE settings SET keep_jobs = coalesce(p_jobs, keep_jobs), keep_audit = coalesce(p_audit, keep_audit)
    RETURNING settings.*
$$;

-- The runs of a submission's newest night, or of one: what became of each job.
CREATE FUNCTION farm.runs(p_submission uuid, p_night integer DEFAULT NULL)
RETURNS TABLE (night integer, job bigint, device text, run text, status text, why text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
    SELECT jobs.night, jobs.id, results.device, results.run, procrastinate_jobs.status::text,
        coalesce(nullif(jobs.why, ''), results.trouble, '')
    FROM jobs JOIN procrastinate_jobs USING (id) LEFT JOIN results ON results.job = jobs.id
    WHERE jobs.submission = p_submission AND jobs.night = coalesce(
        p_night, (SELECT max(night) FROM jobs newest WHERE newest.submission = p_submission)
    )
    ORDER BY jobs.id
$$;
