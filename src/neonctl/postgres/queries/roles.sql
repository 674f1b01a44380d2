-- existing --
SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)

-- membership_grantors --
SELECT grantor.rolname
FROM pg_catalog.pg_auth_members AS m
JOIN pg_catalog.pg_roles AS grantor ON grantor.oid = m.grantor
WHERE m.roleid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)
  AND m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)
  AND (m.inherit_option OR m.set_option OR grantor.oid <> 10)  -- 10 made the bare ADMIN of CREATE ROLE: harmless
ORDER BY 1
