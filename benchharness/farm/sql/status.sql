-- How the farm stands, in one answer: for terminals and pages. It must stay quick with a hundred thousand jobs queued.
CREATE FUNCTION farm.status() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
    SELECT jsonb_build_object(
        'at', now(),
        'jobs', (
            SELECT coalesce(jsonb_object_agg(status, count), '{}') FROM (
                SELECT status, count(*) FROM procrastinate_jobs WHERE task_name = 'job of a farm' GROUP BY status
            ) counted
        ),
        'devices', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'name', devices.name, 'host', devices.host, 'labels', labels, 'state', state, 'why', devices.why,
                'seen_s', extract(epoch FROM now() - seen), 'job', leases.job, 'at_it_s',
                extract(epoch FROM now() - leases.begun), 'left_s', extract(epoch FROM leases.until - now()),
                'submission', submissions.name
            ) ORDER BY devices.name), '[]')
            FROM devices
            LEFT JOIN leases ON leases.device = devices.name AND ended IS NULL
            LEFT JOIN jobs ON jobs.id = leases.job
            LEFT JOIN submissions ON submissions.id = jobs.submission
        ),
        'submissions', (
            SELECT coalesce(jsonb_agg(told), '[]') FROM (
                SELECT jsonb_build_object(
                    'id', id, 'name', name, 'by', by, 'at', at, 'nightly', nightly, 'jobs', (
                        SELECT coalesce(jsonb_object_agg(status, count), '{}') FROM (
                            SELECT status, count(*) FROM jobs JOIN procrastinate_jobs USING (id)
                            WHERE submission = submissions.id GROUP BY status
                        ) counted
                    ), 'why', (
                        SELECT coalesce(jsonb_agg(DISTINCT why), '[]') FROM (
                            SELECT why FROM jobs WHERE submission = submissions.id AND why <> '' LIMIT 5
                        ) words
                    )
                ) AS told
                FROM (SELECT * FROM submissions ORDER BY at DESC LIMIT 20) submissions
            ) newest
        ),
        'refused', (
            SELECT coalesce(jsonb_agg(to_jsonb(newest)), '[]') FROM (
                SELECT at, who, what, about, told FROM audit WHERE refused ORDER BY at DESC LIMIT 10
            ) newest
        )
    )
$$;
