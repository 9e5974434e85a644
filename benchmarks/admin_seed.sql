-- @now, @first and @last are put in by benchmarks/admin.py; a statement with @first runs in steps.
INSERT INTO billing_customer (id, user_id, links, email, livemode, deleted, needs_refresh, snapshot_burst, version, updated_at)
SELECT 'cus_' || n, CASE WHEN n % 5000 = 0 THEN NULL ELSE 'user_' || n END, '{}', 'person' || n || '@example.com',
    true, false, false, 1, 1, @now
FROM generate_series(@first, @last) AS n WHERE n <= 1000000;

INSERT INTO billing_subscription (id, customer_id, status, items, plan_id, quantity, start_date, expiry_date,
    current_period_start, current_period_end, cancel_at_period_end, livemode, stripe_metadata, needs_refresh,
    snapshot_burst, version, updated_at)
SELECT 'sub_' || n, 'cus_' || n,
    CASE WHEN n % 200 = 0 THEN 'past_due' WHEN n % 7 = 0 THEN 'canceled' ELSE 'active' END,
    jsonb_build_array(jsonb_build_object('price_id', 'price_team', 'quantity', n % 9 + 1, 'unit_amount', 2900,
        'currency', CASE WHEN n % 3 = 0 THEN 'eur' ELSE 'usd' END, 'interval', 'month', 'interval_count', 1)),
    'price_team', n % 9 + 1, @now - 86400, @now + 86400 * 29, @now - 86400, @now + 86400 * 29, false, true, '{}',
    n % 20000 = 0, 1, 1, @now
FROM generate_series(@first, @last) AS n WHERE n <= 1000000;

INSERT INTO billing_invoice (id, customer_id, subscription_id, status, amount_due, amount_paid, amount_remaining,
    currency, attempt_count, created, version, updated_at)
SELECT 'in_' || n, 'cus_' || n, 'sub_' || n, CASE WHEN n % 200 = 0 THEN 'open' ELSE 'paid' END, 2900, 2900, 0, 'usd', 1,
    @now - 86400, 1, @now
FROM generate_series(@first, @last) AS n WHERE n <= 1000000;

-- 200,000 in the last hour, the rest over the 90 days before.
INSERT INTO billing_event (id, type, object_id, created, api_version, livemode, source, body, received_at, state,
    attempts, last_error, processed_at, next_attempt_at)
SELECT 'evt_' || n, CASE WHEN n % 3 = 0 THEN 'invoice.paid' ELSE 'customer.subscription.updated' END,
    CASE WHEN n % 3 = 0 THEN 'in_' ELSE 'sub_' END || (n % 1000000 + 1), at, '2026-10-28.endive', true, 'stripe',
    '{"id": "evt_' || n || '", "type": "customer.subscription.updated", "created": ' || at
        || ', "data": {"object": {"id": "sub_' || (n % 1000000 + 1) || '", "object": "subscription", "status": "active",'
        || ' "customer": "cus_' || (n % 1000000 + 1) || '", "metadata": {"filler": "' || repeat(md5(n::text), 12)
        || '"}}, "previous_attributes": {"status": "past_due"}}}',
    at + 1,
    CASE WHEN n % 2000 = 0 THEN 'dead' WHEN n % 3001 = 0 THEN 'failed' WHEN n % 5003 = 0 THEN 'pending' ELSE 'processed' END,
    1, CASE WHEN n % 2000 = 0 THEN 'MalformedEvent: no customer' END, at + 2, @now + 86400
FROM (
    SELECT n, CASE WHEN n > 4800000 THEN @now - 3500 * (5000000 - n) / 200000
        ELSE @now - 3600 - (86400::bigint * 90 * (5000000 - n) / 5000000) END AS at
    FROM generate_series(@first, @last) AS n
) AS numbered;

INSERT INTO billing_outbox (id, signal, receiver, event_id, customer_id, reaction, created_at, state, attempts,
    next_attempt_at)
SELECT 'out_' || n, 'subscription_changed', 'mail', 'evt_' || n, 'cus_' || n, '{}', @now - n, 'done', 1, 0
FROM generate_series(@first, @last) AS n WHERE n <= 1000000;

INSERT INTO billing_audit (id, at, actor, action, subject)
SELECT 'aud_' || n, @now - n, 'admin:bench', 'override.set', 'user_' || n
FROM generate_series(@first, @last) AS n WHERE n <= 1000000;
