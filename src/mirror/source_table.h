/*-------------------------------------------------------------------------
 *
 * source_table.h
 *	  The shop's catalog table: looked up, checked, and locked without waiting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SOURCE_TABLE_H
#define RECO_SOURCE_TABLE_H

#include "access/attnum.h"
#include "mirror/text_output.h"
#include "utils/rel.h"

/* A table with storage: the catalog itself, a partition, or a child. */
typedef struct RecoSourceLeaf
{
	Oid			table;
	AttrNumber	key;
	AttrNumber	category;
	Oid			index;			/* for looking up keys; or InvalidOid */
} RecoSourceLeaf;

/* What reco.catalog_table and reco.catalog_columns currently refer to. */
typedef struct RecoSource
{
	char	   *name;			/* with its schema, quoted */
	char	   *key_column;		/* not quoted */
	char	   *category_column;
	Oid			key_type;
	int16		key_length;		/* of the type, as pg_type has it */
	bool		key_by_value;
	Oid			category_type;
	RecoTextOutput key_text;
	RecoTextOutput category_text;
	Oid		   *tables;			/* the table, then its partitions or children */
	int			ntables;
	RecoSourceLeaf *leaves;		/* those of them that have storage */
	int			nleaves;
	char	   *fingerprint;	/* changes if the contents may have */
	List	   *relations;		/* OIDs of the composite types that it uses */
	List	   *functions;		/* hash values, as in syscache invalidations */
} RecoSource;

extern bool reco_source_is_configured(void);

/*
 * Both need a transaction, which then holds the locks; if they are not granted
 * at once: NULL or false.  An ERROR says why the table cannot be used.
 */
extern RecoSource *reco_source_open(bool wait);
extern bool reco_source_lock(const RecoSource *source);

/* Is a column in the table's replica identity?  Evaluates nothing. */
extern bool reco_source_identifies(Relation table, AttrNumber column);

/* May such an invalidation mean that the contents have changed? */
extern bool reco_source_uses_relation(const RecoSource *source, Oid relation);
extern bool reco_source_uses_function(const RecoSource *source, uint32 hash);

#endif							/* RECO_SOURCE_TABLE_H */
