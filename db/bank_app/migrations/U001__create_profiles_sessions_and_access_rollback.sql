DROP TABLE access.role_assignments;
DROP TABLE access.roles;
DROP TABLE app.sessions;
DROP TABLE app.customer_profiles;
