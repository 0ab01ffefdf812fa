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
               AS charged,
           count(DISTINCT j.id) FILTER (WHERE j.kind = 'order_hold') AS holds
    FROM touched_order o
    JOIN postings p ON p.order_id = o.id
    JOIN accounts a ON a.id = p.account_id
    JOIN journal j ON j.id = p.journal_id
    GROUP BY p.order_id
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
        SELECT sum(o.held) AS total FROM orders o WHERE o.book_id = a.book_id AND o.ended_at IS NULL
    ) s ON true
    WHERE a.kind = 'wallet' AND a.held <> coalesce(s.total, 0)
UNION ALL
SELECT 'wallet-negative', id::text, balance::text FROM accounts WHERE kind = 'wallet' AND balance < 0
UNION ALL
SELECT 'order-not-charged-once', o.id::text,
       coalesce(m.holds, 0) || ' holds of ' || coalesce(m.charged, 0) || ' for ' || o.charge
    FROM touched_order o LEFT JOIN order_money m ON m.order_id = o.id
    WHERE coalesce(m.holds, 0) <> 1 OR m.charged <> o.charge
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
           AND (o.remains IS NULL OR o.remains NOT BETWEEN 1 AND o.units - 1))
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
SELECT 'order-without-attempt', o.id::text, o.state
    FROM orders o
    WHERE o.state IN ('submitting', 'unknown', 'in_progress') AND NOT EXISTS (
        SELECT 1 FROM attempts t
        WHERE t.order_id = o.id AND t.state IN ('leased', 'sending', 'accepted', 'unknown'))
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
                                    WHEN 'in_progress' THEN 'follow' ELSE 'dispatch' END)
UNION ALL
SELECT 'hold-without-stop', h.order_id::text, o.state
    FROM order_holds h JOIN orders o ON o.id = h.order_id
    WHERE h.released_at IS NULL AND o.state = 'queued'
UNION ALL
SELECT 'stop-without-hold', o.id::text, o.state
    FROM orders o WHERE o.state = 'on_hold' AND NOT EXISTS (
        SELECT 1 FROM order_holds h WHERE h.order_id = o.id AND h.released_at IS NULL)
UNION ALL
SELECT 'lease-not-freed', w.kind || '/' || w.ref, w.lease_until::text
    FROM work w WHERE w.lease_until < clock_timestamp() - interval '5 minutes'
UNION ALL
SELECT 'work-overdue', w.kind || '/' || w.ref, w.due_at::text
    FROM work w JOIN providers p ON p.id::text = w.lane
    WHERE w.lease_token IS NULL AND w.kind = 'follow' AND p.state = 'active'
      AND w.due_at < clock_timestamp() - interval '1 hour'
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
