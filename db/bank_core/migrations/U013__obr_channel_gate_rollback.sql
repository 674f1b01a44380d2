DROP TRIGGER trg_00_postings_obr_channel_gate ON accounts.postings;
DROP FUNCTION core.fn_posting_obr_channel_gate();
