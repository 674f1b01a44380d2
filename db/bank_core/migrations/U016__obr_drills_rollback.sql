DROP FUNCTION core.obr_record_drill(
    uuid, text, timestamptz, timestamptz, numeric, numeric, boolean, bigint, bytea, text, text, text
);
DROP TABLE core.obr_drills;
