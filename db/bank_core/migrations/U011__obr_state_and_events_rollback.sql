DROP TABLE core.obr_resolution_state;
DROP FUNCTION core.guard_obr_state();
DROP TABLE core.obr_partition_events;
DROP DOMAIN core.resolution_state;
