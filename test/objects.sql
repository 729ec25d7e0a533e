-- What the extension consists of, as rows (object, property, value); values are JSON, and NULL where there is none.
-- Equal for two databases in which the extension is the same.  The partitions of reco.activity come and go, and are
-- left out.  test/t/032_upgrade.pl compares a fresh installation with an update by it.
SET LOCAL search_path = pg_catalog;

WITH extension AS (
	SELECT * FROM pg_extension WHERE extname = 'reco'),
member AS (
	SELECT d.classid, d.objid, i.type, i.identity
	FROM extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
		 CROSS JOIN pg_identify_object(d.classid, d.objid, 0) i
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relispartition)
	-- from 17 on the row types of tables are members, too
	AND NOT EXISTS (SELECT FROM pg_type t LEFT JOIN pg_type a ON a.oid = t.typelem
					JOIN pg_class c ON c.oid IN (t.typrelid, a.typrelid) AND c.relkind <> 'c'
					WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid)),
relation AS (
	SELECT c.*, identity FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
described AS (	-- members, and what belongs to them
	SELECT classid, objid, 0 AS objsubid FROM member
	UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_attribute JOIN relation r ON r.oid = attrelid WHERE attnum > 0
	UNION ALL SELECT 'pg_class'::regclass, indexrelid, 0 FROM pg_index JOIN relation r ON r.oid = indrelid
	UNION ALL SELECT 'pg_constraint'::regclass, c.oid, 0 FROM pg_constraint c JOIN relation r ON r.oid = conrelid
	UNION ALL SELECT 'pg_trigger'::regclass, t.oid, 0 FROM pg_trigger t JOIN relation r ON r.oid = tgrelid
	UNION ALL SELECT 'pg_rewrite'::regclass, w.oid, 0 FROM pg_rewrite w JOIN relation r ON r.oid = ev_class),
property (object, property, value) AS (
	SELECT 'extension', 'properties', to_jsonb(p)
	FROM extension CROSS JOIN LATERAL (SELECT extnamespace::regnamespace, extrelocatable, extconfig::regclass[], extcondition) p
	UNION ALL
	SELECT identity, 'kind', to_jsonb(type) FROM member
	UNION ALL
	SELECT identity, 'not compared', to_jsonb(type) FROM member
	WHERE classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
	   OR EXISTS (SELECT FROM relation WHERE oid = objid AND relkind NOT IN ('r', 'p', 'v'))
	UNION ALL
	SELECT identity, 'properties', to_jsonb(p)
	FROM relation r LEFT JOIN pg_class toast ON toast.oid = r.reltoastrelid CROSS JOIN LATERAL (
		SELECT r.relowner::regrole, r.relkind, r.relpersistence, r.relreplident, r.relrowsecurity, r.relforcerowsecurity,
			   (SELECT amname FROM pg_am WHERE oid = r.relam) AS method, toast.reloptions AS toast_options,
			   (SELECT array_agg(o ORDER BY o) FROM unnest(r.reloptions) o) AS options,
			   CASE r.relkind WHEN 'p' THEN pg_get_partkeydef(r.oid) WHEN 'v' THEN pg_get_viewdef(r.oid) END AS definition) p
	UNION ALL
	SELECT concat(identity, '.', attname), 'column', to_jsonb(p)
	FROM pg_attribute a JOIN relation r ON r.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum CROSS JOIN LATERAL (
		SELECT attnum, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation, attstorage,
			   -- the server's own note of the change that it last saw
			   (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%') AS options, attcompression, attstattarget, pg_get_expr(adbin, adrelid) AS value) p
	WHERE a.attnum > 0
	UNION ALL
	SELECT identity, 'constraint ' || conname, to_jsonb(pg_get_constraintdef(c.oid) || CASE WHEN convalidated THEN '' ELSE ' not valid' END)
	FROM pg_constraint c JOIN relation r ON r.oid = conrelid
	UNION ALL
	SELECT identity, 'index ' || i.relname, to_jsonb(p)
	FROM pg_index JOIN relation r ON r.oid = indrelid JOIN pg_class i ON i.oid = indexrelid CROSS JOIN LATERAL (
		SELECT pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident, i.relowner::regrole) p
	UNION ALL
	SELECT identity, 'trigger ' || tgname, to_jsonb(concat(tgenabled, ' ', pg_get_triggerdef(t.oid)))
	FROM pg_trigger t JOIN relation r ON r.oid = tgrelid WHERE NOT tgisinternal
	UNION ALL
	SELECT identity, 'rule ' || rulename, to_jsonb(concat(ev_enabled, ' ', pg_get_ruledef(w.oid)))
	FROM pg_rewrite w JOIN relation r ON r.oid = ev_class
	UNION ALL
	SELECT identity, 'definition', to_jsonb(concat(pg_get_functiondef(p.oid), ' owner ', proowner::regrole))
	FROM pg_proc p JOIN member ON classid = 'pg_proc'::regclass AND objid = p.oid
	UNION ALL
	SELECT identity, 'owner', to_jsonb(nspowner::regrole)
	FROM pg_namespace n JOIN member ON classid = 'pg_namespace'::regclass AND objid = n.oid
	UNION ALL
	SELECT i.identity, 'comment', to_jsonb(description)
	FROM pg_description d JOIN described m ON m.classid = classoid AND m.objid = objoid AND m.objsubid = d.objsubid
		 CROSS JOIN pg_identify_object(classid, objid, d.objsubid) i
	UNION ALL
	SELECT i.identity, a.property, to_jsonb((SELECT array_agg(item::text ORDER BY item::text) FROM unnest(a.acl) item))
	FROM (SELECT 'pg_class'::regclass AS classid, oid AS objid, 0 AS objsubid, 'privileges' AS property, relacl AS acl FROM pg_class
		  UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum, 'privileges', attacl FROM pg_attribute
		  UNION ALL SELECT 'pg_proc'::regclass, oid, 0, 'privileges', proacl FROM pg_proc
		  UNION ALL SELECT 'pg_namespace'::regclass, oid, 0, 'privileges', nspacl FROM pg_namespace
		  UNION ALL SELECT classoid, objoid, objsubid, 'initial privileges', initprivs FROM pg_init_privs) a
		 JOIN described USING (classid, objid, objsubid) CROSS JOIN pg_identify_object(classid, objid, objsubid) i
	WHERE a.acl IS NOT NULL)
SELECT concat_ws(E'\t', object, property, value) FROM property ORDER BY object COLLATE "C", property COLLATE "C";
