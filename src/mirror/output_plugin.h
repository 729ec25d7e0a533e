/*-------------------------------------------------------------------------
 *
 * output_plugin.h
 *	  The output plugin: collects which products committed transactions changed.
 *
 * Between the slot reader (slot_reader.c), which owns this structure, and the
 * callbacks, which fill it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OUTPUT_PLUGIN_H
#define RECO_OUTPUT_PLUGIN_H

#include "datatype/timestamp.h"
#include "mirror/source_table.h"

/* Keys of one batch, or of one large transaction that is still in progress. */
typedef struct RecoKeys
{
	MemoryContext context;
	Oid			key_type;
	Datum	   *keys;			/* values of that type */
	int			nkeys;
	Size		bytes;
	bool		everything;		/* the keys do not tell all */
	bool		touched;		/* by the transaction that is being replayed */
} RecoKeys;

typedef struct RecoCollect
{
	MemoryContext context;
	MemoryContext scratch;		/* of one change */
	Oid		   *tables;			/* watched; sorted */
	int			ntables;
	char	   *key_column;
	Oid			key_type;
	int16		key_length;
	bool		key_by_value;
	RecoKeys   *batch;
	TransactionId *xids;		/* of the transactions that made the changes */
	int			nxids;
	int			max_xids;
	TimestampTz committed_at;	/* the first of them; 0: none */
} RecoCollect;

extern RecoCollect *reco_collect_create(MemoryContext context);
extern void reco_collect_watch(RecoCollect *collect, const RecoSource *source);
extern bool reco_collect_watches(const RecoCollect *collect, Oid table);
extern void reco_collect_reset(RecoCollect *collect);

/* Where the plugin writes to, in this process; NULL: it must not be used. */
extern void reco_collect_into(RecoCollect *collect);

#endif							/* RECO_OUTPUT_PLUGIN_H */
