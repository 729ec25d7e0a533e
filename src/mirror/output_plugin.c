/*-------------------------------------------------------------------------
 *
 * output_plugin.c
 *	  The output plugin: collects the products that committed transactions changed.
 *
 * The callbacks run inside the decoder, under a historic snapshot and in a
 * transaction that core aborts: they copy keys to memory and do nothing else.
 * A superfluous key is harmless, since the caller looks up the current row; if
 * keys cannot tell what changed, "everything" is set.  Nothing of the table's
 * owner is evaluated, and no function of the key's type is called.
 *
 * Memory is bounded by MAX_KEYS and MAX_KEY_BYTES for the current batch, and for
 * each large transaction in progress that changes the catalog.
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

static RecoOutputPlugin *active_plugin = NULL;

/* Create an empty set, for keys of the type that is watched now. */
static RecoChangedKeys *
keys_create(const RecoOutputPlugin *plugin)
{
	MemoryContext context = AllocSetContextCreate(plugin->context, "reco changed keys",
												  ALLOCSET_DEFAULT_SIZES);
	RecoChangedKeys *keys = MemoryContextAllocZero(context, sizeof(RecoChangedKeys));

	keys->context = context;
	keys->key_type = plugin->key_type;
	keys->keys = MemoryContextAlloc(context, MAX_KEYS * sizeof(Datum));
	return keys;
}

/* An arbitrary order that makes equal bytes adjacent. */
static int
keys_compare(const void *a, const void *b, void *arg)
{
	const RecoOutputPlugin *plugin = arg;
	Datum		x = *(const Datum *) a;
	Datum		y = *(const Datum *) b;
	Size		x_size;
	Size		y_size;
	int			order;

	if (plugin->key_by_value)
		return (x > y) - (x < y);
	x_size = datumGetSize(x, false, plugin->key_length);
	y_size = datumGetSize(y, false, plugin->key_length);
	order = memcmp(DatumGetPointer(x), DatumGetPointer(y), Min(x_size, y_size));
	return order != 0 ? order : (x_size > y_size) - (x_size < y_size);
}

static Size
keys_size_of(const RecoOutputPlugin *plugin, Datum key)
{
	return plugin->key_by_value ? 0 : datumGetSize(key, false, plugin->key_length);
}

/* Remove duplicate keys. */
static void
keys_compact(const RecoOutputPlugin *plugin, RecoChangedKeys *keys)
{
	int			kept = 0;

	qsort_arg(keys->keys, keys->nkeys, sizeof(Datum), keys_compare, (void *) plugin);
	for (int i = 0; i < keys->nkeys; i++)
	{
		if (kept == 0 || keys_compare(&keys->keys[kept - 1], &keys->keys[i], (void *) plugin) != 0)
			keys->keys[kept++] = keys->keys[i];
		else
		{
			keys->bytes -= keys_size_of(plugin, keys->keys[i]);
			if (!plugin->key_by_value)
				pfree(DatumGetPointer(keys->keys[i]));
		}
	}
	keys->nkeys = kept;
}

/* Add a copy of a key, which must be detoasted. */
static void
keys_add(const RecoOutputPlugin *plugin, RecoChangedKeys *keys, Datum key)
{
	MemoryContext caller;

	if (keys->nkeys > 0 &&
		keys_compare(&keys->keys[keys->nkeys - 1], &key, (void *) plugin) == 0)
		return;
	if (keys->nkeys == MAX_KEYS)
	{
		keys_compact(plugin, keys);
		if (keys->nkeys > MAX_KEYS * 3 / 4)
			keys->everything = true;
	}
	if (keys->bytes > MAX_KEY_BYTES)
		keys->everything = true;
	if (keys->everything)
		return;
	caller = MemoryContextSwitchTo(keys->context);
	keys->keys[keys->nkeys++] = datumCopy(key, plugin->key_by_value, plugin->key_length);
	keys->bytes += keys_size_of(plugin, key);
	MemoryContextSwitchTo(caller);
}

/* The key column of a table at the time of the change; 0: none. */
static AttrNumber
plugin_key_attribute(const RecoOutputPlugin *plugin, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && strcmp(NameStr(column->attname), plugin->key_column) == 0)
			return column->attnum;
	}
	return InvalidAttrNumber;
}

static void
plugin_collect_tuple(const RecoOutputPlugin *plugin, RecoChangedKeys *keys, TupleDesc desc, AttrNumber key,
					 HeapTuple tuple)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, key, desc, &isnull);

	if (isnull)
		return;
	if (plugin->key_length == -1)
	{
		if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		{
			keys->everything = true;	/* unchanged TOAST, not in WAL */
			return;
		}
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	}
	keys_add(plugin, keys, value);
}

/* Does a change not reveal the product?  The old row must have the key. */
static bool
plugin_key_is_hidden(const RecoOutputPlugin *plugin, const RecoChangedKeys *keys, Relation table, AttrNumber key,
					 ReorderBufferChange *change)
{
	if (key == InvalidAttrNumber || keys->key_type != plugin->key_type ||
		TupleDescAttr(RelationGetDescr(table), key - 1)->atttypid != plugin->key_type)
		return true;
	if (change->action == REORDER_BUFFER_CHANGE_INSERT)
		return false;
	return !reco_source_identifies(table, key) ||
		(change->action == REORDER_BUFFER_CHANGE_DELETE &&
		 reco_decoded_tuple(change->data.tp.oldtuple) == NULL);
}

/* Collect the keys of one change of a watched table. */
static void
plugin_collect_change(RecoOutputPlugin *plugin, RecoChangedKeys *keys, Relation table,
					  ReorderBufferChange *change)
{
	TupleDesc	desc = RelationGetDescr(table);
	HeapTuple	old_tuple = reco_decoded_tuple(change->data.tp.oldtuple);
	HeapTuple	new_tuple = reco_decoded_tuple(change->data.tp.newtuple);
	AttrNumber	key;
	MemoryContext caller;

	keys->changed = true;
	if (keys->everything)
		return;

	caller = MemoryContextSwitchTo(plugin->scratch);
	key = plugin_key_attribute(plugin, desc);
	if (plugin_key_is_hidden(plugin, keys, table, key, change))
		keys->everything = true;
	else
	{
		if (old_tuple != NULL)
			plugin_collect_tuple(plugin, keys, desc, key, old_tuple);
		if (new_tuple != NULL)
			plugin_collect_tuple(plugin, keys, desc, key, new_tuple);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(plugin->scratch);
}

bool
reco_output_plugin_watches(const RecoOutputPlugin *plugin, Oid table)
{
	return bsearch(&table, plugin->tables, plugin->ntables, sizeof(Oid), oid_cmp) != NULL;
}

static bool
plugin_watches_any(const RecoOutputPlugin *plugin, int ntables, Relation *tables)
{
	for (int i = 0; i < ntables; i++)
	{
		if (reco_output_plugin_watches(plugin, RelationGetRelid(tables[i])))
			return true;
	}
	return false;
}

/*
 * Note a transaction's commit, if it changed the catalog table or system
 * catalogs.  Its changes may not be visible yet: the reader waits for that.
 */
static void
plugin_note_commit(RecoOutputPlugin *plugin, ReorderBufferTXN *txn)
{
	if (!plugin->batch->changed && !rbtxn_has_catalog_changes(txn))
		return;
	if (plugin->batch->changed && plugin->committed_at == 0)
		plugin->committed_at = txn->xact_time.commit_time;
	plugin->batch->changed = false;
	if (plugin->nxids == plugin->max_xids)
	{
		plugin->max_xids = Max(plugin->max_xids * 2, 64);
		plugin->xids = plugin->xids == NULL ?
			MemoryContextAlloc(plugin->context, plugin->max_xids * sizeof(TransactionId)) :
			repalloc(plugin->xids, plugin->max_xids * sizeof(TransactionId));
	}
	plugin->xids[plugin->nxids++] = txn->xid;
}

/*
 * The callbacks.  Core replays a transaction when it has committed, or streams
 * it in blocks while it is in progress, if it is large, instead of spilling it.
 */

static void
plugin_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool is_init)
{
	if (active_plugin == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("output plugin \"reco\" works for reco's own worker only")));
	options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
	ctx->output_plugin_private = active_plugin;
}

static void
plugin_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

static void
plugin_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation table,
			  ReorderBufferChange *change)
{
	RecoOutputPlugin *plugin = ctx->output_plugin_private;

	if (reco_output_plugin_watches(plugin, RelationGetRelid(table)))
		plugin_collect_change(plugin, plugin->batch, table, change);
}

static void
plugin_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int ntables,
				Relation tables[], ReorderBufferChange *change)
{
	RecoOutputPlugin *plugin = ctx->output_plugin_private;

	if (plugin_watches_any(plugin, ntables, tables))
		plugin->batch->changed = plugin->batch->everything = true;
}

static void
plugin_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	plugin_note_commit(ctx->output_plugin_private, txn);
}

static void
plugin_stream_block(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

/* The keys of a transaction in progress, created when first needed. */
static RecoChangedKeys *
plugin_stream_keys(RecoOutputPlugin *plugin, ReorderBufferTXN *txn)
{
	if (txn->output_plugin_private == NULL)
		txn->output_plugin_private = keys_create(plugin);
	return txn->output_plugin_private;
}

static void
plugin_stream_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation table,
					 ReorderBufferChange *change)
{
	RecoOutputPlugin *plugin = ctx->output_plugin_private;

	if (reco_output_plugin_watches(plugin, RelationGetRelid(table)))
		plugin_collect_change(plugin, plugin_stream_keys(plugin, txn), table, change);
}

static void
plugin_stream_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int ntables,
					   Relation tables[], ReorderBufferChange *change)
{
	RecoOutputPlugin *plugin = ctx->output_plugin_private;

	if (plugin_watches_any(plugin, ntables, tables))
	{
		RecoChangedKeys *keys = plugin_stream_keys(plugin, txn);

		keys->changed = keys->everything = true;
	}
}

static void
plugin_stream_forget(ReorderBufferTXN *txn)
{
	RecoChangedKeys *streamed = txn->output_plugin_private;

	if (streamed != NULL)
		MemoryContextDelete(streamed->context);
	txn->output_plugin_private = NULL;
}

/* Keys of a subtransaction are with those of its top-level transaction, and may stay. */
static void
plugin_stream_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr abort_lsn)
{
	plugin_stream_forget(txn);
}

static void
plugin_stream_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	RecoOutputPlugin *plugin = ctx->output_plugin_private;
	RecoChangedKeys *streamed = txn->output_plugin_private;

	if (streamed != NULL)
	{
		plugin->batch->changed = streamed->changed;
		if (streamed->everything || streamed->key_type != plugin->key_type)
			plugin->batch->everything = true;
		for (int i = 0; i < streamed->nkeys && !plugin->batch->everything; i++)
			keys_add(plugin, plugin->batch, streamed->keys[i]);
	}
	plugin_stream_forget(txn);
	plugin_note_commit(plugin, txn);
}

/* Create the structure; no table is watched yet. */
RecoOutputPlugin *
reco_output_plugin_create(MemoryContext context)
{
	RecoOutputPlugin *plugin = MemoryContextAllocZero(context, sizeof(RecoOutputPlugin));

	plugin->context = context;
	plugin->scratch = AllocSetContextCreate(context, "reco decoded change",
											ALLOCSET_DEFAULT_SIZES);
	plugin->batch = keys_create(plugin);
	return plugin;
}

/*
 * Watch the source's tables and its key column from now on.  Keys that were
 * collected of another type become "everything".
 */
void
reco_output_plugin_watch(RecoOutputPlugin *plugin, const RecoSource *source)
{
	Size		size = source->ntables * sizeof(Oid);

	if (plugin->tables != NULL)
		pfree(plugin->tables);
	if (plugin->key_column != NULL)
		pfree(plugin->key_column);
	plugin->tables = MemoryContextAlloc(plugin->context, size);
	memcpy(plugin->tables, source->tables, size);
	qsort(plugin->tables, source->ntables, sizeof(Oid), oid_cmp);
	plugin->ntables = source->ntables;
	plugin->key_column = MemoryContextStrdup(plugin->context, source->key_column);
	plugin->key_type = source->key_type;
	plugin->key_length = source->key_length;
	plugin->key_by_value = source->key_by_value;
	if (plugin->batch->key_type != plugin->key_type)
	{
		bool		any = plugin->batch->nkeys > 0 || plugin->batch->everything;

		MemoryContextDelete(plugin->batch->context);
		plugin->batch = keys_create(plugin);
		plugin->batch->everything = any;
	}
}

/* Forget what was collected of committed transactions. */
void
reco_output_plugin_reset(RecoOutputPlugin *plugin)
{
	if (plugin->batch->nkeys > 0 || plugin->batch->everything)
	{
		MemoryContextDelete(plugin->batch->context);
		plugin->batch = keys_create(plugin);
	}
	plugin->nxids = 0;
	plugin->committed_at = 0;
}

void
reco_output_plugin_activate(RecoOutputPlugin *plugin)
{
	active_plugin = plugin;
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
