-- Gives a database a login of its own. Run by psql as superuser in that database, as often as one likes, with the
-- variables `database`, `login`, `password`, and `owns`: whether the login owns the database and what is in it.
-- No login but those named so can connect to any database of the server.
\set ON_ERROR_STOP on
\set QUIET on
-- The database may be the login's own: it chooses the search path there, and what stands in its schemas.
SET search_path = pg_catalog, pg_temp;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') AS is_new \gset
\if :is_new
CREATE ROLE :"login";
\endif
ALTER ROLE :"login"
    WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';

REVOKE CONNECT ON DATABASE :"database", postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"login";

\if :owns
ALTER DATABASE :"database" OWNER TO :"login";
-- What a superuser made before the login existed. A table takes its indexes and the sequences of its columns along.
SELECT format('ALTER TABLE %s OWNER TO %I', oid::regclass, :'login')
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND relowner <> :'login'::regrole
\gexec
SELECT format('ALTER SEQUENCE %s OWNER TO %I', oid::regclass, :'login')
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND relowner <> :'login'::regrole
  AND NOT EXISTS (
    SELECT FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND refclassid = 'pg_class'::regclass
      AND deptype IN ('a', 'i')
  )
\gexec
SELECT format('ALTER TYPE %s OWNER TO %I', oid::regtype, :'login')
FROM pg_type
WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') AND typowner <> :'login'::regrole
\gexec
SELECT format('ALTER ROUTINE %s OWNER TO %I', oid::regprocedure, :'login')
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proowner <> :'login'::regrole
\gexec
\endif
