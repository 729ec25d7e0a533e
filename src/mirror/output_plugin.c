/*-------------------------------------------------------------------------
 *
 * output_plugin.c
 *	  The output plugin: collects which products committed transactions changed.
 *
 * The callbacks run inside the decoder, under a snapshot of the past and in a
 * transaction that core throws away: they copy keys to memory and do nothing
 * else.  A key too many does no harm, since the caller looks up what a product
 * is now; where keys cannot tell what changed, "everything" does.  Nothing of
 * the table's owner is evaluated, and no function of the key's type is called.
 *
 * Memory is bounded by MAX_KEYS and MAX_KEY_BYTES for each transaction that
 * is replayed, and for each large one in progress that changes the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "mirror/output_plugin.h"
#include "mirror/source_table.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define MAX_KEYS 10000
#define MAX_KEY_BYTES (4 * 1024 * 1024)

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static RecoCollect *destination = NULL;

/* No keys yet; they will be of the type that is watched now. */
static RecoKeys *
keys_create(const RecoCollect *collect)
{
	MemoryContext context = AllocSetContextCreate(collect->context, "reco changed keys",
												  ALLOCSET_DEFAULT_SIZES);
	RecoKeys   *keys = MemoryContextAllocZero(context, sizeof(RecoKeys));

	keys->context = context;
	keys->key_type = collect->key_type;
	keys->keys = MemoryContextAlloc(context, MAX_KEYS * sizeof(Datum));
	return keys;
}

/* Any order in which the same bytes stand side by side. */
static int
compare_keys(const void *a, const void *b, void *arg)
{
	const RecoCollect *collect = arg;
	Datum		x = *(const Datum *) a;
	Datum		y = *(const Datum *) b;
	Size		x_size;
	Size		y_size;
	int			order;

	if (collect->key_by_value)
		return (x > y) - (x < y);
	x_size = datumGetSize(x, false, collect->key_length);
	y_size = datumGetSize(y, false, collect->key_length);
	order = memcmp(DatumGetPointer(x), DatumGetPointer(y), Min(x_size, y_size));
	return order != 0 ? order : (x_size > y_size) - (x_size < y_size);
}

static Size
key_bytes(const RecoCollect *collect, Datum key)
{
	return collect->key_by_value ? 0 : datumGetSize(key, false, collect->key_length);
}

/* Drop repeated keys. */
static void
keys_compact(const RecoCollect *collect, RecoKeys *keys)
{
	int			kept = 0;

	qsort_arg(keys->keys, keys->nkeys, sizeof(Datum), compare_keys, (void *) collect);
	for (int i = 0; i < keys->nkeys; i++)
	{
		if (kept == 0 || compare_keys(&keys->keys[kept - 1], &keys->keys[i], (void *) collect) != 0)
			keys->keys[kept++] = keys->keys[i];
		else
		{
			keys->bytes -= key_bytes(collect, keys->keys[i]);
			if (!collect->key_by_value)
				pfree(DatumGetPointer(keys->keys[i]));
		}
	}
	keys->nkeys = kept;
}

/* Take a copy of a key, which is not compressed or out of line. */
static void
keys_add(const RecoCollect *collect, RecoKeys *keys, Datum key)
{
	MemoryContext caller;

	if (keys->nkeys > 0 &&
		compare_keys(&keys->keys[keys->nkeys - 1], &key, (void *) collect) == 0)
		return;
	if (keys->nkeys == MAX_KEYS)
	{
		keys_compact(collect, keys);
		if (keys->nkeys > MAX_KEYS * 3 / 4)
			keys->everything = true;
	}
	if (keys->bytes > MAX_KEY_BYTES)
		keys->everything = true;
	if (keys->everything)
		return;
	caller = MemoryContextSwitchTo(keys->context);
	keys->keys[keys->nkeys++] = datumCopy(key, collect->key_by_value, collect->key_length);
	keys->bytes += key_bytes(collect, key);
	MemoryContextSwitchTo(caller);
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

static void
collect_tuple(const RecoCollect *collect, RecoKeys *keys, TupleDesc desc, AttrNumber key,
			  HeapTuple tuple)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, key, desc, &isnull);

	if (isnull)
		return;
	if (collect->key_length == -1)
	{
		if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		{
			keys->everything = true;	/* out of line, and not in WAL */
			return;
		}
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	}
	keys_add(collect, keys, value);
}

/* Does a change not tell which product it was?  Its old row must show the key. */
static bool
key_is_hidden(const RecoCollect *collect, const RecoKeys *keys, Relation table, AttrNumber key,
			  ReorderBufferChange *change)
{
	if (key == InvalidAttrNumber || keys->key_type != collect->key_type ||
		TupleDescAttr(RelationGetDescr(table), key - 1)->atttypid != collect->key_type)
		return true;
	if (change->action == REORDER_BUFFER_CHANGE_INSERT)
		return false;
	return !reco_source_identifies(table, key) ||
		(change->action == REORDER_BUFFER_CHANGE_DELETE &&
		 reco_decoded_tuple(change->data.tp.oldtuple) == NULL);
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
	if (key_is_hidden(collect, keys, table, key, change))
		keys->everything = true;
	else
	{
		if (old_tuple != NULL)
			collect_tuple(collect, keys, desc, key, old_tuple);
		if (new_tuple != NULL)
			collect_tuple(collect, keys, desc, key, new_tuple);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(collect->scratch);
}

bool
reco_collect_watches(const RecoCollect *collect, Oid table)
{
	return bsearch(&table, collect->tables, collect->ntables, sizeof(Oid), oid_cmp) != NULL;
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
		txn->output_plugin_private = keys_create(collect);
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
		if (streamed->everything || streamed->key_type != collect->key_type)
			collect->batch->everything = true;
		for (int i = 0; i < streamed->nkeys && !collect->batch->everything; i++)
			keys_add(collect, collect->batch, streamed->keys[i]);
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
	collect->batch = keys_create(collect);
	return collect;
}

/*
 * Changes of the source's tables count from here on, by its key column.  Keys
 * of another type, that of another source, tell nothing then.
 */
void
reco_collect_watch(RecoCollect *collect, const RecoSource *source)
{
	Size		size = source->ntables * sizeof(Oid);

	if (collect->tables != NULL)
		pfree(collect->tables);
	if (collect->key_column != NULL)
		pfree(collect->key_column);
	collect->tables = MemoryContextAlloc(collect->context, size);
	memcpy(collect->tables, source->tables, size);
	qsort(collect->tables, source->ntables, sizeof(Oid), oid_cmp);
	collect->ntables = source->ntables;
	collect->key_column = MemoryContextStrdup(collect->context, source->key_column);
	collect->key_type = source->key_type;
	collect->key_length = source->key_length;
	collect->key_by_value = source->key_by_value;
	if (collect->batch->key_type != collect->key_type)
	{
		bool		any = collect->batch->nkeys > 0 || collect->batch->everything;

		MemoryContextDelete(collect->batch->context);
		collect->batch = keys_create(collect);
		collect->batch->everything = any;
	}
}

/* Forget what has been collected of committed transactions. */
void
reco_collect_reset(RecoCollect *collect)
{
	if (collect->batch->nkeys > 0 || collect->batch->everything)
	{
		MemoryContextDelete(collect->batch->context);
		collect->batch = keys_create(collect);
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
