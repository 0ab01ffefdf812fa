-- Everything that must never be, as rows (code, ref, detail); no rows is the proof that all is well.
-- `since` NULL checks all; a time checks what was touched since, and always what is still running.
CREATE OR REPLACE FUNCTION violations(since timestamptz DEFAULT NULL)
RETURNS TABLE (code text, ref text, detail text)
LANGUAGE sql STABLE AS $$
WITH
recent_journal AS (
    SELECT id, kind, ref_type, ref_id FROM journal WHERE since IS NULL OR created_at >= since
),
recent_posting AS (
    SELECT p.* FROM postings p JOIN recent_journal j ON j.id = p.journal_id
),
touched_order AS (
    SELECT * FROM orders WHERE since IS NULL
    UNION
    SELECT o.* FROM orders o JOIN recent_posting p ON p.order_id = o.id WHERE since IS NOT NULL
    UNION
    SELECT * FROM orders WHERE since IS NOT NULL AND ended_at IS NULL
),
order_money AS (
    SELECT p.order_id,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held'), 0) AS held,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'revenue'), 0) AS earned,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'forfeited'), 0) AS forfeited,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'wallet' AND j.kind <> 'order_hold'), 0)
               AS refunded,
           coalesce(-sum(p.amount) FILTER (WHERE a.kind = 'wallet' AND j.kind = 'order_hold'), 0)
               + coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held' AND j.kind = 'schedule_run'), 0)
               AS charged,
           count(DISTINCT j.id) FILTER (WHERE j.kind = 'order_hold') AS holds,
           count(DISTINCT j.id) FILTER (WHERE j.kind = 'schedule_run') AS allocations
    FROM touched_order o
    JOIN postings p ON p.order_id = o.id
    JOIN accounts a ON a.id = p.account_id
    JOIN journal j ON j.id = p.journal_id
    GROUP BY p.order_id
),
touched_schedule AS (
    SELECT * FROM schedules WHERE since IS NULL
    UNION
    SELECT s.* FROM schedules s JOIN recent_posting p ON p.order_id = s.id WHERE since IS NOT NULL
    UNION
    SELECT * FROM schedules WHERE since IS NOT NULL AND ended_at IS NULL
),
schedule_money AS (
    SELECT p.order_id AS schedule_id,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held'), 0) AS held,
           coalesce(-sum(p.amount) FILTER (WHERE a.kind = 'held' AND j.kind = 'schedule_run'), 0)
               AS allocated,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'wallet' AND j.kind = 'schedule_end'), 0)
               AS refunded,
           coalesce(-sum(p.amount) FILTER (WHERE a.kind = 'wallet' AND j.kind = 'schedule_hold'), 0)
               AS charged,
           count(DISTINCT j.id) FILTER (WHERE j.kind = 'schedule_hold') AS holds
    FROM touched_schedule s
    JOIN postings p ON p.order_id = s.id
    JOIN accounts a ON a.id = p.account_id
    JOIN journal j ON j.id = p.journal_id
    GROUP BY p.order_id
),
schedule_runs AS (
    SELECT s.id AS schedule_id, count(o.id) AS started, coalesce(sum(o.charge), 0) AS allocated
    FROM touched_schedule s LEFT JOIN orders o ON o.parent_id = s.id
    GROUP BY s.id
)
SELECT 'journal-unbalanced', p.journal_id::text, 'sum ' || sum(p.amount)
    FROM recent_posting p GROUP BY p.journal_id HAVING sum(p.amount) <> 0
UNION ALL
SELECT 'journal-empty', j.id::text, j.kind
    FROM recent_journal j WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.journal_id = j.id)
UNION ALL
SELECT 'ledger-not-zero', 'all', 'sum ' || sum(amount)
    FROM postings WHERE since IS NULL HAVING sum(amount) <> 0
UNION ALL
SELECT 'balance-drift', a.id::text, a.balance || ' is not ' || coalesce(s.total, 0)
    FROM accounts a
    LEFT JOIN LATERAL (SELECT sum(amount) AS total FROM postings p WHERE p.account_id = a.id) s ON true
    WHERE a.kind = 'wallet' AND a.balance <> coalesce(s.total, 0)
      AND (since IS NULL OR a.id IN (SELECT account_id FROM recent_posting))
UNION ALL
SELECT 'held-drift', a.id::text, a.held || ' is not ' || coalesce(s.total, 0)
    FROM accounts a
    LEFT JOIN LATERAL (
        SELECT sum(h.held) AS total FROM (
            SELECT o.held FROM orders o WHERE o.book_id = a.book_id AND o.ended_at IS NULL
            UNION ALL
            SELECT c.held FROM schedules c WHERE c.book_id = a.book_id AND c.ended_at IS NULL
        ) h
    ) s ON true
    WHERE a.kind = 'wallet' AND a.held <> coalesce(s.total, 0)
UNION ALL
SELECT 'wallet-negative', id::text, balance::text FROM accounts WHERE kind = 'wallet' AND balance < 0
UNION ALL
SELECT 'order-not-charged-once', o.id::text,
       format('%s holds and %s allocations of %s for %s', coalesce(m.holds, 0),
              coalesce(m.allocations, 0), coalesce(m.charged, 0), o.charge)
    FROM touched_order o LEFT JOIN order_money m ON m.order_id = o.id
    WHERE coalesce(m.holds, 0) <> CASE WHEN o.parent_id IS NULL THEN 1 ELSE 0 END
       OR coalesce(m.allocations, 0) <> CASE WHEN o.parent_id IS NULL THEN 0 ELSE 1 END
       OR m.charged <> o.charge
UNION ALL
SELECT 'money-without-order', p.order_id::text, count(*) || ' postings'
    FROM recent_posting p
    WHERE p.order_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = p.order_id)
      AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.id = p.order_id)
    GROUP BY p.order_id
UNION ALL
SELECT 'money-of-another-book', p.journal_id::text, p.amount || ' for ' || p.order_id
    FROM recent_posting p
    JOIN accounts a ON a.id = p.account_id AND a.kind = 'wallet'
    LEFT JOIN orders o ON o.id = p.order_id
    LEFT JOIN schedules s ON s.id = p.order_id
    WHERE coalesce(o.book_id, s.book_id) <> a.book_id
UNION ALL
SELECT 'answer-without-order', k.owner || ' ' || k.key, k.location
    FROM idempotency_keys k
    WHERE (since IS NULL OR k.created_at >= since) AND k.location ~ '^/v1/orders/[0-9]{1,18}$'
      AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = substring(k.location FROM 12)::bigint)
      AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.id = substring(k.location FROM 12)::bigint)
UNION ALL
SELECT 'order-money-drift', o.id::text,
       format('order says held %s earned %s refunded %s forfeited %s, ledger %s %s %s %s',
              o.held, o.earned, o.refunded, o.forfeited, m.held, m.earned, m.refunded, m.forfeited)
    FROM touched_order o JOIN order_money m ON m.order_id = o.id
    WHERE (o.held, o.earned, o.refunded, o.forfeited)
        IS DISTINCT FROM (m.held, m.earned, m.refunded, m.forfeited)
UNION ALL
SELECT 'order-arithmetic', o.id::text, o.state
    FROM touched_order o
    WHERE o.charge <> o.held + o.earned + o.refunded + o.forfeited
       OR o.refunded > o.charge
       OR (o.ended_at IS NOT NULL AND o.held <> 0)
       OR (o.ended_at IS NULL AND o.held <> o.charge)
UNION ALL
SELECT 'order-remains', o.id::text, o.state || ' with remains ' || coalesce(o.remains::text, 'none')
    FROM touched_order o
    WHERE (o.state = 'completed' AND o.remains <> 0)
       OR (o.state = 'partial' AND o.units IS NOT NULL
           AND (o.remains IS NULL OR o.remains NOT BETWEEN 1 AND o.units - 1)
           -- What an operator gives back of a running order need not be its undelivered share.
           AND NOT EXISTS (
               SELECT 1 FROM refund_claims c WHERE c.order_id = o.id AND c.paid_by = 'order_end'))
UNION ALL
SELECT 'order-events-missing', o.id::text, o.version || ' changes, ' || count(e.seq) || ' events'
    FROM touched_order o LEFT JOIN order_events e ON e.order_id = o.id
    GROUP BY o.id, o.version
    HAVING count(e.seq) <> o.version OR max(e.seq) IS DISTINCT FROM o.version
UNION ALL
SELECT 'attempts-two-live', order_id::text, count(*)::text
    FROM attempts WHERE state IN ('leased', 'sending', 'accepted', 'unknown')
      AND order_id IN (SELECT id FROM touched_order)
    GROUP BY order_id HAVING count(*) > 1
UNION ALL
SELECT 'order-taken-twice', o.id::text, string_agg(DISTINCT e.provider_order_id, ' and ')
    FROM touched_order o
    JOIN attempts t ON t.order_id = o.id
    JOIN provider_evidence e ON e.attempt_id = t.id AND e.provider_order_id IS NOT NULL
    -- Nothing undoes it: it is told for a month.
    WHERE o.ended_at IS NULL OR o.ended_at > clock_timestamp() - interval '30 days'
    GROUP BY o.id HAVING count(DISTINCT t.id) > 1
UNION ALL
SELECT 'order-without-attempt', o.id::text, o.state
    FROM orders o
    WHERE o.state IN ('submitting', 'unknown', 'in_progress') AND NOT EXISTS (
        SELECT 1 FROM attempts t
        WHERE t.order_id = o.id AND t.state IN ('leased', 'sending', 'accepted', 'unknown'))
UNION ALL
SELECT 'attempt-contradicts-order', o.id::text,
       format('%s, attempt %s %s', o.state, t.state, coalesce(t.provider_order_id, 'without an id'))
    FROM touched_order o JOIN attempts t ON t.order_id = o.id
    WHERE (t.state IN ('leased', 'sending') AND o.state <> 'submitting')
       OR (t.state = 'unknown' AND o.state IN ('queued', 'on_hold', 'submitting', 'in_progress'))
       OR (t.state = 'accepted' AND (
               o.state IN ('queued', 'on_hold', 'submitting', 'unknown')
               OR (t.provider_id, t.provider_order_id)
                   IS DISTINCT FROM (o.provider_id, o.provider_order_id)))
UNION ALL
SELECT 'order-without-input', o.id::text, o.state
    FROM orders o
    WHERE o.state IN ('queued', 'on_hold', 'submitting') AND NOT EXISTS (
        SELECT 1 FROM order_inputs i WHERE i.order_id = o.id)
UNION ALL
SELECT 'order-without-provider-id', o.id::text, o.state
    FROM orders o WHERE o.state = 'in_progress' AND o.provider_order_id IS NULL
UNION ALL
SELECT 'order-forgotten', o.id::text, o.state || ' with no work'
    FROM orders o
    WHERE o.state IN ('queued', 'submitting', 'unknown', 'in_progress') AND NOT EXISTS (
        SELECT 1 FROM work w
        WHERE w.ref = o.id::text
          AND w.kind = CASE o.state WHEN 'unknown' THEN 'reconcile'
                                    WHEN 'in_progress' THEN 'follow' ELSE 'dispatch' END
          -- Free for all, it would be dropped by the next who looks for queued orders.
          AND (o.state <> 'submitting' OR w.lease_token IS NOT NULL))
UNION ALL
SELECT 'cancel-forgotten', o.id::text, 'requested with no work'
    FROM orders o
    WHERE o.state = 'in_progress' AND o.cancel_state = 'requested' AND NOT EXISTS (
        SELECT 1 FROM work w WHERE w.ref = o.id::text AND w.kind = 'cancel')
UNION ALL
SELECT 'refill-forgotten', r.id::text, r.state || ' with no work'
    FROM refills r
    WHERE r.state IN ('requested', 'sending', 'pending', 'in_progress') AND NOT EXISTS (
        SELECT 1 FROM work w
        WHERE w.ref = r.id::text
          AND w.kind = CASE WHEN r.state IN ('requested', 'sending') THEN 'refill'
                            ELSE 'refill_follow' END)
UNION ALL
SELECT 'refill-without-provider-id', r.id::text, r.state
    FROM refills r
    WHERE r.state IN ('pending', 'in_progress') AND r.provider_refill_id IS NULL
UNION ALL
SELECT 'refills-two-open', order_id::text, count(*)::text
    FROM refills WHERE ended_at IS NULL GROUP BY order_id HAVING count(*) > 1
UNION ALL
SELECT 'claim-not-paid', c.id::text, c.paid_by || ' of ' || c.refund || ' for order ' || c.order_id
    FROM refund_claims c
    WHERE c.state = 'approved' AND (since IS NULL OR c.closed_at >= since) AND NOT EXISTS (
        SELECT 1 FROM journal j
        JOIN postings p ON p.journal_id = j.id AND p.order_id = c.order_id
        JOIN accounts a ON a.id = p.account_id AND a.kind = 'wallet' AND a.book_id = c.book_id
        WHERE j.kind = c.paid_by AND p.amount = c.refund
          AND j.ref_id = CASE c.paid_by WHEN 'order_end' THEN c.order_id::text ELSE c.id::text END)
UNION ALL
SELECT 'claim-paid-unapproved', j.ref_id, 'paid'
    FROM recent_journal j
    WHERE j.kind = 'refund_claim' AND NOT EXISTS (
        SELECT 1 FROM refund_claims c
        WHERE c.id::text = j.ref_id AND c.state = 'approved' AND c.paid_by = 'refund_claim')
UNION ALL
SELECT 'claims-over-charge', o.id::text,
       'claims gave back ' || sum(c.refund) || ' of ' || o.charge || ', refunded ' || o.refunded
    FROM touched_order o JOIN refund_claims c ON c.order_id = o.id AND c.state = 'approved'
    GROUP BY o.id, o.charge, o.refunded HAVING sum(c.refund) > least(o.charge, o.refunded)
UNION ALL
SELECT 'claims-two-open', order_id::text, count(*)::text
    FROM refund_claims WHERE closed_at IS NULL GROUP BY order_id HAVING count(*) > 1
UNION ALL
SELECT 'claim-forgotten', c.id::text, c.state || ' with no work'
    FROM refund_claims c
    WHERE c.closed_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM work w WHERE w.kind = 'claim' AND w.ref = c.id::text)
      AND (c.state = 'awaiting_deadline'
           -- With people until the facts decide: those of a running order will.
           OR c.reason IN ('not-delivered', 'technical-failure') AND EXISTS (
               SELECT 1 FROM orders o WHERE o.id = c.order_id AND o.ended_at IS NULL))
UNION ALL
SELECT 'claim-events-missing', c.id::text, c.version || ' changes, ' || count(e.seq) || ' events'
    FROM refund_claims c LEFT JOIN refund_claim_events e ON e.claim_id = c.id
    WHERE since IS NULL OR c.closed_at IS NULL OR c.closed_at >= since
    GROUP BY c.id, c.version
    HAVING count(e.seq) <> c.version OR max(e.seq) IS DISTINCT FROM c.version
UNION ALL
SELECT 'link-two-running', min(o.id)::text, count(*) || ' orders on one link'
    FROM orders o
    JOIN attempts t ON t.order_id = o.id AND t.state IN ('leased', 'sending', 'accepted')
    WHERE o.state IN ('submitting', 'in_progress') AND t.link_exclusive AND NOT EXISTS (
        -- One of which nothing was known may have lost its link to another, by time.
        SELECT 1 FROM order_events e WHERE e.order_id = o.id AND e.type IN ('lose', 'review'))
    GROUP BY t.provider_id, t.provider_service, o.link_hash HAVING count(*) > 1
UNION ALL
SELECT 'link-lock-idle', l.order_id::text, o.state
    FROM link_locks l JOIN orders o ON o.id = l.order_id
    WHERE o.state NOT IN ('submitting', 'unknown', 'needs_review', 'in_progress')
UNION ALL
SELECT 'schedule-not-charged-once', s.id::text,
       coalesce(m.holds, 0) || ' holds of ' || coalesce(m.charged, 0) || ' for ' || s.charge
    FROM touched_schedule s LEFT JOIN schedule_money m ON m.schedule_id = s.id
    WHERE coalesce(m.holds, 0) <> 1 OR m.charged <> s.charge
UNION ALL
SELECT 'schedule-money-drift', s.id::text,
       format('schedule says held %s allocated %s refunded %s, ledger %s %s %s',
              s.held, s.allocated, s.refunded, m.held, m.allocated, m.refunded)
    FROM touched_schedule s JOIN schedule_money m ON m.schedule_id = s.id
    WHERE (s.held, s.allocated, s.refunded) IS DISTINCT FROM (m.held, m.allocated, m.refunded)
UNION ALL
SELECT 'schedule-arithmetic', s.id::text, s.state
    FROM touched_schedule s
    WHERE s.charge <> s.held + s.allocated + s.refunded
       OR (s.ended_at IS NOT NULL AND s.held <> 0)
       OR (s.state = 'placed' AND s.refunded <> 0)
UNION ALL
SELECT 'schedule-runs-drift', s.id::text,
       format('schedule says %s runs for %s, orders %s for %s',
              s.started, s.allocated, r.started, r.allocated)
    FROM touched_schedule s JOIN schedule_runs r ON r.schedule_id = s.id
    WHERE (s.started, s.allocated) IS DISTINCT FROM (r.started, r.allocated)
UNION ALL
SELECT 'run-twice', o.parent_id || ':' || o.run_number, count(*) || ' orders'
    FROM touched_order o WHERE o.parent_id IS NOT NULL
    GROUP BY o.parent_id, o.run_number HAVING count(*) > 1
UNION ALL
SELECT 'schedule-forgotten', s.id::text, 'active with no work'
    FROM schedules s WHERE s.state = 'active' AND NOT EXISTS (
        SELECT 1 FROM work w WHERE w.kind = 'schedule' AND w.ref = s.id::text)
UNION ALL
SELECT 'schedule-events-missing', s.id::text,
       s.version || ' changes, ' || count(e.seq) || ' events'
    FROM touched_schedule s LEFT JOIN schedule_events e ON e.schedule_id = s.id
    GROUP BY s.id, s.version
    HAVING count(e.seq) <> s.version OR max(e.seq) IS DISTINCT FROM s.version
UNION ALL
SELECT 'hold-without-stop', h.order_id::text, o.state
    FROM order_holds h JOIN orders o ON o.id = h.order_id
    WHERE h.released_at IS NULL AND o.state = 'queued'
UNION ALL
SELECT 'stop-without-hold', o.id::text, o.state
    FROM orders o WHERE o.state = 'on_hold' AND NOT EXISTS (
        SELECT 1 FROM order_holds h WHERE h.order_id = o.id AND h.released_at IS NULL)
UNION ALL
SELECT 'lease-not-freed', w.kind || '/' || w.ref, coalesce(w.lease_until::text, 'without an end')
    FROM work w
    WHERE w.lease_until < clock_timestamp() - interval '5 minutes'
       -- Or it never will be: no lease is as long as an hour, and each has an end.
       OR w.lease_until > clock_timestamp() + interval '1 hour'
       OR (w.lease_token IS NOT NULL AND w.lease_until IS NULL)
UNION ALL
SELECT 'work-in-wrong-lane', w.kind || '/' || w.ref, w.lane
    FROM (SELECT kind, ref, lane, CASE WHEN ref ~ '^[0-9]{1,18}$' THEN ref::bigint END AS number
          FROM work) w
    LEFT JOIN orders o ON w.kind IN ('follow', 'cancel') AND o.id = w.number
    LEFT JOIN refills r ON w.kind IN ('refill', 'refill_follow') AND r.id = w.number
    WHERE (w.kind IN ('dispatch', 'reconcile') AND w.lane <> 'main'
           AND NOT EXISTS (SELECT 1 FROM providers p WHERE p.id::text = w.lane))
       -- Another provider would be asked about an id that is not its own.
       OR (w.kind IN ('follow', 'cancel') AND w.lane IS DISTINCT FROM o.provider_id::text)
       OR (w.kind IN ('refill', 'refill_follow') AND w.lane IS DISTINCT FROM r.provider_id::text)
UNION ALL
SELECT 'work-overdue', w.kind || '/' || w.ref, w.due_at::text
    FROM work w
    WHERE w.lease_token IS NULL AND w.due_at < clock_timestamp() - interval '1 hour'
      AND (w.kind IN ('reconcile', 'schedule', 'claim')
           OR (w.kind = 'follow' AND EXISTS (
               SELECT 1 FROM providers p WHERE p.id::text = w.lane AND p.state = 'active')))
UNION ALL
SELECT 'audit-chain-broken', l.seq::text, l.action
    FROM (SELECT *, lag(hash) OVER (ORDER BY seq) AS before, lag(seq) OVER (ORDER BY seq) AS seq_before
          FROM audit_log WHERE since IS NULL OR at >= since - interval '1 hour') l
    WHERE l.hash <> sha256(l.prev_hash || convert_to(concat_ws('|', l.seq,
              to_char(l.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
              l.actor, l.action, l.subject, l.body), 'UTF8'))
       OR (l.before IS NOT NULL AND (l.prev_hash <> l.before OR l.seq <> l.seq_before + 1))
       OR (l.before IS NULL AND since IS NULL AND l.seq <> 1)
$$
