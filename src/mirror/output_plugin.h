/*-------------------------------------------------------------------------
 *
 * output_plugin.h
 *	  The output plugin: collects the products that committed transactions changed.
 *
 * The slot reader (slot_reader.c) owns the structure, and the callbacks fill it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OUTPUT_PLUGIN_H
#define RECO_OUTPUT_PLUGIN_H

#include "datatype/timestamp.h"
#include "mirror/source_table.h"

/* Keys of a batch, or of a large transaction in progress. */
typedef struct RecoChangedKeys
{
	MemoryContext context;
	Oid			key_type;
	Datum	   *keys;			/* values of that type */
	int			nkeys;
	Size		bytes;
	bool		everything;		/* the keys are incomplete */
	bool		changed;		/* the transaction being replayed changed the catalog */
} RecoChangedKeys;

typedef struct RecoOutputPlugin
{
	MemoryContext context;
	MemoryContext scratch;		/* for one change */
	Oid		   *tables;			/* watched; sorted */
	int			ntables;
	char	   *key_column;
	Oid			key_type;
	int16		key_length;
	bool		key_by_value;
	RecoChangedKeys *batch;
	TransactionId *xids;		/* the transactions that made the changes */
	int			nxids;
	int			max_xids;
	TimestampTz committed_at;	/* the first commit; 0: none */
} RecoOutputPlugin;

extern RecoOutputPlugin *reco_output_plugin_create(MemoryContext context);
extern void reco_output_plugin_watch(RecoOutputPlugin *plugin, const RecoSource *source);
extern bool reco_output_plugin_watches(const RecoOutputPlugin *plugin, Oid table);
extern void reco_output_plugin_reset(RecoOutputPlugin *plugin);

/* Have this process's callbacks fill it; NULL: the plugin must not be used. */
extern void reco_output_plugin_activate(RecoOutputPlugin *plugin);

#endif							/* RECO_OUTPUT_PLUGIN_H */
