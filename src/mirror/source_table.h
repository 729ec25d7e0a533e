/*-------------------------------------------------------------------------
 *
 * source_table.h
 *	  The shop's catalog table: found, judged, and locked without waiting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SOURCE_TABLE_H
#define RECO_SOURCE_TABLE_H

#include "access/attnum.h"
#include "mirror/text_output.h"
#include "utils/rel.h"

/* A table that holds rows: the catalog itself, a partition, or a child. */
typedef struct RecoSourceLeaf
{
	Oid			table;
	AttrNumber	key;
	AttrNumber	category;
	Oid			index;			/* by which keys are looked up; or InvalidOid */
} RecoSourceLeaf;

/* What reco.catalog_table and reco.catalog_columns stand for at the moment. */
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
	Oid		   *tables;			/* the table and its partitions, the table first */
	int			ntables;
	RecoSourceLeaf *leaves;		/* those of them that hold rows */
	int			nleaves;
	char	   *fingerprint;	/* differs when the contents may, too */
	List	   *relations;		/* OIDs of the composite types that it uses */
	List	   *functions;		/* hashes, as invalidations give them */
} RecoSource;

extern bool reco_source_is_configured(void);

/*
 * Both in a transaction, which then holds the locks; not granted at once:
 * NULL or false.  An ERROR tells why the table cannot be used.
 */
extern RecoSource *reco_source_open(bool wait);
extern bool reco_source_lock(const RecoSource *source);

/* Is a column in the table's replica identity?  Evaluates nothing. */
extern bool reco_source_identifies(Relation table, AttrNumber column);

/* May what these invalidations tell of change what the source says? */
extern bool reco_source_uses_relation(const RecoSource *source, Oid relation);
extern bool reco_source_uses_function(const RecoSource *source, uint32 hash);

#endif							/* RECO_SOURCE_TABLE_H */
