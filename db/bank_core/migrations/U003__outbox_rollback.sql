DROP TABLE core.outbox;
