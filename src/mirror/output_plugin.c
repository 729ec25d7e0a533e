/*-------------------------------------------------------------------------
 *
 * output_plugin.c
 *	  The output plugin: collects which products committed transactions changed.
 *
 * The callbacks run inside the decoder, under a snapshot of the past and in a
 * transaction that core throws away: they copy keys to memory and do nothing
 * else.  A key too many does no harm, since the caller looks up what a product
 * is now; where keys cannot tell what changed, "everything" does.
 *
 * Memory is bounded by MAX_KEYS and MAX_KEY_BYTES for each transaction that
 * is replayed, and for each large one in progress that changes the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "mirror/output_plugin.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define MAX_KEYS 10000
#define MAX_KEY_BYTES (4 * 1024 * 1024)

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static RecoCollect *destination = NULL;

static RecoKeys *
keys_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "reco changed keys",
												  ALLOCSET_DEFAULT_SIZES);
	RecoKeys   *keys = MemoryContextAllocZero(context, sizeof(RecoKeys));

	keys->context = context;
	keys->keys = MemoryContextAlloc(context, MAX_KEYS * sizeof(char *));
	return keys;
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Drop repeated keys. */
static void
keys_compact(RecoKeys *keys)
{
	int			kept = 0;

	qsort(keys->keys, keys->nkeys, sizeof(char *), compare_keys);
	for (int i = 0; i < keys->nkeys; i++)
	{
		if (kept > 0 && strcmp(keys->keys[kept - 1], keys->keys[i]) == 0)
		{
			keys->bytes -= strlen(keys->keys[i]);
			pfree(keys->keys[i]);
		}
		else
			keys->keys[kept++] = keys->keys[i];
	}
	keys->nkeys = kept;
}

static void
keys_add(RecoKeys *keys, const char *key)
{
	if (keys->nkeys > 0 && strcmp(keys->keys[keys->nkeys - 1], key) == 0)
		return;
	if (keys->nkeys == MAX_KEYS)
	{
		keys_compact(keys);
		if (keys->nkeys > MAX_KEYS * 3 / 4)
			keys->everything = true;
	}
	if (keys->bytes > MAX_KEY_BYTES)
		keys->everything = true;
	if (keys->everything)
		return;
	keys->keys[keys->nkeys++] = MemoryContextStrdup(keys->context, key);
	keys->bytes += strlen(key);
}

/* The key column of a table as it was when the change was made; 0: none. */
static AttrNumber
key_attribute(const RecoCollect *collect, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && strcmp(NameStr(column->attname), collect->key_column) == 0)
			return column->attnum;
	}
	return InvalidAttrNumber;
}

/* Does the old row of an update or delete show its key? */
static bool
key_is_logged(Relation table, AttrNumber key)
{
	Bitmapset  *identity;

	if (table->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		return true;
	identity = RelationGetIdentityKeyBitmap(table);
	return bms_is_member(key - FirstLowInvalidHeapAttributeNumber, identity);
}

static void
collect_tuple(RecoKeys *keys, TupleDesc desc, AttrNumber key, HeapTuple tuple)
{
	Form_pg_attribute column = TupleDescAttr(desc, key - 1);
	bool		isnull;
	Datum		value = heap_getattr(tuple, key, desc, &isnull);
	Oid			output;
	bool		varlena;

	if (isnull)
		return;
	if (column->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
	{
		keys->everything = true;	/* out of line, and not in WAL */
		return;
	}
	getTypeOutputInfo(column->atttypid, &output, &varlena);
	keys_add(keys, OidOutputFunctionCall(output, value));
}

/* Collect the keys of one change of a watched table. */
static void
collect_change(RecoCollect *collect, RecoKeys *keys, Relation table,
			   ReorderBufferChange *change)
{
	TupleDesc	desc = RelationGetDescr(table);
	HeapTuple	old_tuple = reco_decoded_tuple(change->data.tp.oldtuple);
	HeapTuple	new_tuple = reco_decoded_tuple(change->data.tp.newtuple);
	AttrNumber	key;
	MemoryContext caller;

	keys->touched = true;
	if (keys->everything)
		return;

	caller = MemoryContextSwitchTo(collect->scratch);
	key = key_attribute(collect, desc);
	if (key == InvalidAttrNumber ||
		(change->action != REORDER_BUFFER_CHANGE_INSERT && !key_is_logged(table, key)) ||
		(change->action == REORDER_BUFFER_CHANGE_DELETE && old_tuple == NULL))
		keys->everything = true;
	else
	{
		if (old_tuple != NULL)
			collect_tuple(keys, desc, key, old_tuple);
		if (new_tuple != NULL)
			collect_tuple(keys, desc, key, new_tuple);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(collect->scratch);
}

static int
compare_oids(const void *a, const void *b)
{
	Oid			x = *(const Oid *) a;
	Oid			y = *(const Oid *) b;

	return x < y ? -1 : x > y;
}

bool
reco_collect_watches(const RecoCollect *collect, Oid table)
{
	return bsearch(&table, collect->tables, collect->ntables, sizeof(Oid), compare_oids) != NULL;
}

static bool
any_watched(const RecoCollect *collect, int ntables, Relation *tables)
{
	for (int i = 0; i < ntables; i++)
	{
		if (reco_collect_watches(collect, RelationGetRelid(tables[i])))
			return true;
	}
	return false;
}

/*
 * A transaction's commit has been read.  Its changes, those of the catalog
 * included, may not be visible yet: the reader waits for that.
 */
static void
remember_commit(RecoCollect *collect, ReorderBufferTXN *txn)
{
	if (!collect->batch->touched && !rbtxn_has_catalog_changes(txn))
		return;
	if (collect->batch->touched && collect->committed_at == 0)
		collect->committed_at = txn->xact_time.commit_time;
	collect->batch->touched = false;
	if (collect->nxids == collect->max_xids)
	{
		collect->max_xids = Max(collect->max_xids * 2, 64);
		collect->xids = collect->xids == NULL ?
			MemoryContextAlloc(collect->context, collect->max_xids * sizeof(TransactionId)) :
			repalloc(collect->xids, collect->max_xids * sizeof(TransactionId));
	}
	collect->xids[collect->nxids++] = txn->xid;
}

/*
 * The plugin.  Core hands over a transaction when it has committed, or, if it
 * is large, in blocks while it is in progress: then it is not spilled to disk.
 */

static void
plugin_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool is_init)
{
	if (destination == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("output plugin \"reco\" works for reco's own worker only")));
	options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
	ctx->output_plugin_private = destination;
}

static void
plugin_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

static void
plugin_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation table,
			  ReorderBufferChange *change)
{
	RecoCollect *collect = ctx->output_plugin_private;

	if (reco_collect_watches(collect, RelationGetRelid(table)))
		collect_change(collect, collect->batch, table, change);
}

static void
plugin_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int ntables,
				Relation tables[], ReorderBufferChange *change)
{
	RecoCollect *collect = ctx->output_plugin_private;

	if (any_watched(collect, ntables, tables))
		collect->batch->touched = collect->batch->everything = true;
}

static void
plugin_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	remember_commit(ctx->output_plugin_private, txn);
}

static void
plugin_stream_block(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

/* The keys of a transaction in progress; made when it first needs them. */
static RecoKeys *
streamed_keys(RecoCollect *collect, ReorderBufferTXN *txn)
{
	if (txn->output_plugin_private == NULL)
		txn->output_plugin_private = keys_create(collect->context);
	return txn->output_plugin_private;
}

static void
plugin_stream_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation table,
					 ReorderBufferChange *change)
{
	RecoCollect *collect = ctx->output_plugin_private;

	if (reco_collect_watches(collect, RelationGetRelid(table)))
		collect_change(collect, streamed_keys(collect, txn), table, change);
}

static void
plugin_stream_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int ntables,
					   Relation tables[], ReorderBufferChange *change)
{
	RecoCollect *collect = ctx->output_plugin_private;

	if (any_watched(collect, ntables, tables))
	{
		RecoKeys   *keys = streamed_keys(collect, txn);

		keys->touched = keys->everything = true;
	}
}

static void
forget_streamed(ReorderBufferTXN *txn)
{
	RecoKeys   *streamed = txn->output_plugin_private;

	if (streamed != NULL)
		MemoryContextDelete(streamed->context);
	txn->output_plugin_private = NULL;
}

/* Keys of a subtransaction stand with those of its top: they may stay. */
static void
plugin_stream_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr abort_lsn)
{
	forget_streamed(txn);
}

static void
plugin_stream_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	RecoCollect *collect = ctx->output_plugin_private;
	RecoKeys   *streamed = txn->output_plugin_private;

	if (streamed != NULL)
	{
		collect->batch->touched = streamed->touched;
		if (streamed->everything)
			collect->batch->everything = true;
		for (int i = 0; i < streamed->nkeys && !collect->batch->everything; i++)
			keys_add(collect->batch, streamed->keys[i]);
	}
	forget_streamed(txn);
	remember_commit(collect, txn);
}

/* Nothing is collected yet, and nothing is watched. */
RecoCollect *
reco_collect_create(MemoryContext context)
{
	RecoCollect *collect = MemoryContextAllocZero(context, sizeof(RecoCollect));

	collect->context = context;
	collect->scratch = AllocSetContextCreate(context, "reco decoded change",
											 ALLOCSET_DEFAULT_SIZES);
	collect->batch = keys_create(context);
	return collect;
}

/* Changes of these tables count from here on, by this column. */
void
reco_collect_watch(RecoCollect *collect, const Oid *tables, int ntables, const char *key_column)
{
	if (collect->tables != NULL)
		pfree(collect->tables);
	if (collect->key_column != NULL)
		pfree(collect->key_column);
	collect->tables = MemoryContextAlloc(collect->context, Max(ntables, 1) * sizeof(Oid));
	memcpy(collect->tables, tables, ntables * sizeof(Oid));
	qsort(collect->tables, ntables, sizeof(Oid), compare_oids);
	collect->ntables = ntables;
	collect->key_column = MemoryContextStrdup(collect->context, key_column);
}

/* Forget what has been collected of committed transactions. */
void
reco_collect_reset(RecoCollect *collect)
{
	if (collect->batch->nkeys > 0 || collect->batch->everything)
	{
		MemoryContextDelete(collect->batch->context);
		collect->batch = keys_create(collect->context);
	}
	collect->nxids = 0;
	collect->committed_at = 0;
}

void
reco_collect_into(RecoCollect *collect)
{
	destination = collect;
}

/* Looked up by core when a slot with this plugin is used. */
void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = plugin_startup;
	callbacks->begin_cb = plugin_begin;
	callbacks->change_cb = plugin_change;
	callbacks->truncate_cb = plugin_truncate;
	callbacks->commit_cb = plugin_commit;
	callbacks->stream_start_cb = plugin_stream_block;
	callbacks->stream_stop_cb = plugin_stream_block;
	callbacks->stream_change_cb = plugin_stream_change;
	callbacks->stream_truncate_cb = plugin_stream_truncate;
	callbacks->stream_abort_cb = plugin_stream_abort;
	callbacks->stream_commit_cb = plugin_stream_commit;
}
