/*-------------------------------------------------------------------------
 *
 * source_table.h
 *	  The shop's catalog table: found, judged, and locked without waiting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SOURCE_TABLE_H
#define RECO_SOURCE_TABLE_H

/* What reco.catalog_table and reco.catalog_columns stand for at the moment. */
typedef struct RecoSource
{
	char	   *name;			/* with its schema, quoted */
	char	   *key_column;		/* not quoted */
	char	   *category_column;
	char	   *key_type;		/* to look keys up by; quoted */
	char	   *key_equals;		/* its operator */
	char	   *key_sql;		/* the key column as an operand of it */
	char	   *key_text;		/* expressions for the columns of c as text */
	char	   *category_text;
	Oid		   *tables;			/* the table and its partitions */
	int			ntables;
	char	   *fingerprint;	/* differs when the contents may, too */
} RecoSource;

extern bool reco_source_is_configured(void);

/*
 * Both in a transaction, which then holds the locks; not granted at once:
 * NULL or false.  An ERROR tells why the table cannot be used.
 */
extern RecoSource *reco_source_open(void);
extern bool reco_source_lock(const RecoSource *source);

#endif							/* RECO_SOURCE_TABLE_H */
