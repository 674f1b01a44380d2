-- post --
SELECT p.transaction_id, p.replayed
FROM accounts.post_transaction(
    p_idempotency_key => %(idempotency_key)s::text, p_account_ids => %(account_ids)s::uuid[],
    p_entry_types => %(entry_types)s::text[], p_amounts => %(amounts)s::numeric[],
    p_currencies => %(currencies)s::text[], p_posting_date => %(posting_date)s::date, p_value_date => %(value_date)s::date,
    p_source_module => %(source_module)s::text, p_description => %(description)s::text, p_trace_id => %(trace_id)s::text,
    p_correlation_id => %(correlation_id)s::text
) AS p

-- reverse --
SELECT r.transaction_id, r.replayed
FROM accounts.reverse_transaction(
    p_transaction_id => %(transaction_id)s::uuid, p_idempotency_key => %(idempotency_key)s::text,
    p_description => %(description)s::text, p_source_module => %(source_module)s::text, p_trace_id => %(trace_id)s::text,
    p_correlation_id => %(correlation_id)s::text
) AS r
