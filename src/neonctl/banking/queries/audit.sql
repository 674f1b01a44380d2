-- record --
SELECT core.record_audit(
    p_action => %(action)s::text, p_target => %(target)s::text, p_outcome => %(outcome)s::text,
    p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text,
    p_details => %(details)s::jsonb
) AS audit_no
