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

-- strangers --
-- Roles that the caller has no ADMIN OPTION on, and who has.
SELECT r.rolname::text,
       array(SELECT m.rolname::text
             FROM pg_catalog.pg_auth_members AS a
             JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
             WHERE a.roleid = r.oid AND a.admin_option
             ORDER BY 1)
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = ANY(%s) AND NOT pg_catalog.pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION')
ORDER BY 1
