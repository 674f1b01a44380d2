DROP TABLE core.obr_resolution_state;
DROP FUNCTION core.guard_obr_state();
DROP TABLE core.obr_partition_events;
DROP FUNCTION core.link_obr_record();
DROP TABLE core.obr_chain;
DELETE FROM core.sealed_tables WHERE relation = 'core.obr_chain';
DROP DOMAIN core.resolution_state;
