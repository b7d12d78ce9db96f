-- Submissions come signed; what is signed is kept as it came, and agents believe that alone.

-- Queues the jobs of a submission; how many.
CREATE FUNCTION farm.submit(p_told text, p_signature text, p_signer text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    said jsonb := p_told::jsonb;
    missing text;
BEGIN
    IF jsonb_path_exists(said, '$.files[*] ? (!exists(@.sha256) || @.sha256.type() != "string")') THEN
        RAISE EXCEPTION 'a file of the submission has no digest';
    END IF;
    IF said ->> 'by' IS DISTINCT FROM session_user THEN
        PERFORM refuse('a submission', coalesce(said ->> 'name', ''), format('it is written by %s', said ->> 'by'));
        RETURN 0;
    END IF;
    PERFORM FROM files WHERE digest IN (SELECT each ->> 'sha256' FROM jsonb_array_elements(said -> 'files') each)
        ORDER BY digest FOR SHARE;  -- whoever prunes waits, and sees the submission then
    SELECT each ->> 'sha256' INTO missing FROM jsonb_array_elements(said -> 'files') each
        WHERE NOT EXISTS (SELECT FROM files WHERE digest = each ->> 'sha256' AND whole) LIMIT 1;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the farm has no file %', missing;
    END IF;
    INSERT INTO submissions (id, by, name, told, signature, signer, nightly)
        VALUES ((said ->> 'id')::uuid, session_user, said ->> 'name', p_told, p_signature, p_signer, said ->> 'nightly');
    PERFORM note('submitted', said ->> 'id', said ->> 'name');
    RETURN enqueue((said ->> 'id')::uuid, 0);
END;
$$;

CREATE FUNCTION farm.enqueue(p_submission uuid, p_night integer) RETURNS integer
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    said jsonb := (SELECT told::jsonb FROM submissions WHERE id = p_submission);
    wanted jsonb;
    made bigint;
    count integer := 0;
BEGIN
    INSERT INTO nights (submission, night) VALUES (p_submission, p_night);
    FOR wanted IN SELECT * FROM spread(said -> 'wanted', (said ->> 'devices')::integer) LOOP
        SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
            queue_for(wanted), 'job of a farm', coalesce((said ->> 'priority')::integer, 0), NULL, NULL,
            jsonb_build_object('submission', p_submission, 'night', p_night), NULL
        )::procrastinate_job_to_defer_v1])) INTO made;
        INSERT INTO jobs (id, submission, night, wanted, deadline) VALUES (
            made, p_submission, p_night, wanted, now() + make_interval(secs => (said ->> 'within_s')::double precision)
        );
        count := count + 1;
    END LOOP;
    PERFORM pg_notify('farm', '');
    RETURN count;
END;
$$;

-- A job for each thing wanted; with a number of devices one for each of so many, the least busy ones.
CREATE FUNCTION farm.spread(p_wanted jsonb, p_devices integer) RETURNS SETOF jsonb
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    one jsonb;
    count integer;
BEGIN
    FOR one IN SELECT jsonb_array_elements(p_wanted) LOOP
        SELECT count(*) INTO count FROM devices WHERE fits(labels, one);
        IF count = 0 THEN
            RAISE EXCEPTION 'no device of this farm is %', one;
        ELSIF p_devices IS NULL THEN
            RETURN NEXT one;
        ELSE
            SELECT count(*) INTO count FROM devices WHERE fits(labels, one) AND state <> 'quarantined';
            IF count < p_devices THEN
                RAISE EXCEPTION '% devices are wanted, and % of this farm are %', p_devices, count, one;
            END IF;
            RETURN QUERY
                SELECT jsonb_build_object('device', name) FROM devices
                WHERE fits(labels, one) AND state <> 'quarantined'
                ORDER BY state = 'draining', (
                    SELECT count(*) FROM procrastinate_jobs
                    WHERE queue_name = jsonb_build_object('device', name)::text AND status = 'todo'
                ), name
                LIMIT p_devices;
        END IF;
    END LOOP;
END;
$$;

-- Takes what is queued of a submission out, and has agents end what runs. How many jobs.
CREATE FUNCTION farm.cancel(p_submission uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    count integer;
BEGIN
    UPDATE submissions SET nightly = NULL, cancelled = now() WHERE id = p_submission;
    SELECT count(procrastinate_cancel_job_v1(id, true, false)) INTO count FROM jobs WHERE submission = p_submission;
    PERFORM note('cancelled', p_submission::text);
    RETURN count;
END;
$$;

-- Queues a nightly submission once more, unless a night of that number was queued already.
CREATE FUNCTION farm.repeat(p_submission uuid, p_night integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
BEGIN
    PERFORM FROM submissions WHERE id = p_submission AND nightly IS NOT NULL FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM nights WHERE submission = p_submission AND night >= p_night) THEN
        RETURN 0;
    END IF;
    PERFORM note('again', p_submission::text, p_night::text);
    RETURN enqueue(p_submission, p_night);
END;
$$;

-- The nights of which every job has ended and is in the store, and nobody was told: what became of each job.
CREATE FUNCTION farm.ended_nights() RETURNS TABLE (submission uuid, night integer, name text, nightly text, jobs jsonb)
LANGUAGE sql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
    SELECT nights.submission, nights.night, submissions.name, submissions.nightly, (
        SELECT jsonb_agg(jsonb_build_object(
            'job', jobs.id, 'status', procrastinate_jobs.status, 'why', coalesce(nullif(jobs.why, ''), results.trouble, ''),
            'run', results.run, 'device', results.device
        ) ORDER BY jobs.id)
        FROM jobs JOIN procrastinate_jobs USING (id) LEFT JOIN results ON results.job = jobs.id
        WHERE jobs.submission = nights.submission AND jobs.night = nights.night
    )
    FROM nights JOIN submissions ON submissions.id = nights.submission
    WHERE reported IS NULL AND NOT EXISTS (
        SELECT FROM jobs JOIN procrastinate_jobs USING (id) LEFT JOIN results ON results.job = jobs.id
        WHERE jobs.submission = nights.submission AND jobs.night = nights.night
            AND (status IN ('todo', 'doing') OR results.job IS NOT NULL AND results.taken IS NULL)
    )
    ORDER BY queued LIMIT 100
$$;

CREATE FUNCTION farm.reported(p_submission uuid, p_night integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = farm, pg_temp AS $$
    UPDATE nights SET reported = now() WHERE submission = p_submission AND night = p_night;
$$;

-- Takes one part of a file, the last of which makes it whole: then its digest must be right.
CREATE FUNCTION farm.put_part(p_digest text, p_part integer, p_bytes bytea, p_last boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
BEGIN
    INSERT INTO files (digest) VALUES (p_digest) ON CONFLICT (digest) DO UPDATE SET at = now();
    IF (SELECT whole FROM files WHERE digest = p_digest) THEN
        RETURN true;
    END IF;
    INSERT INTO file_parts VALUES (p_digest, p_part, p_bytes)
        ON CONFLICT (digest, part) DO UPDATE SET bytes = excluded.bytes;
    IF NOT p_last THEN
        RETURN true;
    END IF;
    IF (SELECT sum(length(bytes)) FROM file_parts WHERE digest = p_digest) < 1000000000 AND p_digest <> (
        SELECT encode(sha256(string_agg(bytes, ''::bytea ORDER BY part)), 'hex') FROM file_parts WHERE digest = p_digest
    ) THEN  -- a larger one PostgreSQL cannot put together; agents look at every file again
        DELETE FROM file_parts WHERE digest = p_digest;
        PERFORM refuse('a file', p_digest, 'its content has another digest');
        RETURN false;
    END IF;
    UPDATE files SET whole = true WHERE digest = p_digest;
    RETURN true;
END;
$$;

-- Which of these the farm has not. Those that it has stay for now: their submission is about to come.
CREATE FUNCTION farm.lacks(p_digests text[]) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = farm, pg_temp AS $$
    UPDATE files SET at = now() FROM (
        SELECT digest FROM files WHERE digest = ANY (p_digests) AND at < now() - interval '10 minutes'
        ORDER BY digest FOR UPDATE  -- in one order, so that no two who ask wait for each other
    ) known WHERE files.digest = known.digest;
    SELECT DISTINCT each FROM unnest(p_digests) each
    WHERE NOT EXISTS (SELECT FROM files WHERE digest = each AND whole)
$$;

-- A part of a file, for the agent that has a job with it; no row behind the last.
CREATE FUNCTION farm.part(p_token uuid, p_digest text, p_part integer) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    lease leases := fence(p_token, 'a file');
BEGIN
    IF lease.token IS NULL OR NOT EXISTS (
        SELECT FROM jobs, submissions, jsonb_array_elements(submissions.told::jsonb -> 'files') each
        WHERE jobs.id = lease.job AND submissions.id = jobs.submission AND each ->> 'sha256' = p_digest
    ) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT bytes FROM file_parts WHERE digest = p_digest AND part = p_part);
END;
$$;
