/*-------------------------------------------------------------------------
 *
 * pending_events.c
 *	  Views that a client's transaction has inserted, until it commits.
 *
 * A client must not hold reco's lock while its application does other work:
 * all other writers would wait for it.  So its views are only kept here, and take
 * effect when the transaction commits, all at once.  reco's lock is then the
 * last one that it takes, and cannot be a part of a deadlock with others.
 *
 * Views are appended to memory, and beyond PENDING_MEMORY to a temporary file.
 * A subtransaction's views are the last ones when it is rolled back, so that
 * cutting them off is enough.  A statement that needs the derived tables to
 * know them (a DELETE, a rebuild) has them applied earlier, and the transaction
 * holds reco's lock from then on; if that is rolled back to a savepoint, they
 * are pending again.
 *
 * Nobody else's code may run while the server commits: foreign tables and
 * deferred triggers have been dealt with by then.  So if a DBA has added a
 * trigger to a derived table, views are not kept at all, and the transaction
 * holds reco's lock from its first view on.  The trigger may insert events.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "activity/insert_nesting.h"
#include "activity/late_flush.h"
#include "activity/pending_events.h"
#include "activity/view_batch.h"
#include "commands/extension.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Bytes of views that are kept in memory. */
#define PENDING_MEMORY (1024 * 1024)

/* What stands before the bytes of the product's id. */
typedef struct PendingHeader
{
	int64		user_id;
	TimestampTz at;
	int32		length;
} PendingHeader;

/* What a nest level goes back to when it is rolled back. */
typedef struct PendingLevel
{
	int			level;
	uint64		end;
	uint64		applied;
	Oid			extension;
} PendingLevel;

/* Of the present transaction, in TopTransactionContext; positions count its bytes. */
static struct
{
	uint64		end;			/* of what is kept */
	uint64		applied;		/* what stands before it has taken effect */
	BufFile    *file;			/* holds the beginning; NULL: there is none */
	uint64		in_file;		/* bytes of it */
	StringInfoData memory;		/* the rest */
	PendingLevel *levels;		/* those that have added or applied, innermost last */
	int			nlevels;
	int			levels_size;
	Oid			owner;			/* with whose rights they are applied */
	Oid			extension;		/* whose they are */
} pending;

/* Note what the present nest level goes back to, before it changes anything. */
static void
pending_enter_level(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (pending.nlevels > 0 && pending.levels[pending.nlevels - 1].level >= level)
		return;
	if (pending.nlevels == pending.levels_size)
	{
		int			size = Max(8, 2 * pending.levels_size);

		pending.levels = pending.levels == NULL ?
			MemoryContextAlloc(TopTransactionContext, size * sizeof(PendingLevel)) :
			repalloc(pending.levels, size * sizeof(PendingLevel));
		pending.levels_size = size;
	}
	pending.levels[pending.nlevels++] = (PendingLevel) {level, pending.end, pending.applied, pending.extension};
}

/* Cut off what stands at a position and behind it. */
static void
pending_truncate(uint64 end)
{
	pending.end = end;
	if (end < pending.in_file)
		pending.in_file = end;
	if (pending.memory.data != NULL)
		pending.memory.len = end - pending.in_file;
}

static void
pending_commit_sub(int level)
{
	PendingLevel *innermost;

	if (pending.nlevels == 0)
		return;
	innermost = &pending.levels[pending.nlevels - 1];
	if (innermost->level < level)
		return;
	if (pending.nlevels > 1 && innermost[-1].level == level - 1)
		pending.nlevels--;		/* the parent goes back further */
	else
		innermost->level = level - 1;
}

static void
pending_abort_sub(int level)
{
	while (pending.nlevels > 0 && pending.levels[pending.nlevels - 1].level >= level)
	{
		PendingLevel *undone = &pending.levels[--pending.nlevels];

		pending_truncate(undone->end);
		pending.applied = undone->applied;
		pending.extension = undone->extension;
	}
}

/* Memory and file go with the transaction. */
static void
pending_reset(void)
{
	memset(&pending, 0, sizeof(pending));
}

/* Read or write the file at a position next. */
static void
pending_seek(uint64 position)
{
	if (BufFileSeek(pending.file, 0, position, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in temporary file: %m")));
}

/* Move what is in memory to the file. */
static void
pending_spill(void)
{
	if (pending.file == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
		ResourceOwner owner = CurrentResourceOwner;

		/* a subtransaction's end must not close it */
		CurrentResourceOwner = TopTransactionResourceOwner;
		pending.file = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(caller);
	}
	pending_seek(pending.in_file);
	BufFileWrite(pending.file, pending.memory.data, pending.memory.len);
	pending.in_file += pending.memory.len;
	resetStringInfo(&pending.memory);
}

/* Views of a statement follow. */
void
reco_pending_begin(void)
{
	Oid			extension = get_extension_oid("reco", false);

	pending_enter_level();
	pending.owner = GetUserId();
	if (pending.extension != extension)
		pending.applied = pending.end;	/* what is pending was dropped with another one */
	pending.extension = extension;
}

/* Keep a view until the transaction commits; product is copied. */
void
reco_pending_add(int64 user_id, RecoSlice product, TimestampTz at)
{
	PendingHeader header = {.user_id = user_id,.at = at,.length = product.length};

	if (pending.memory.data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

		initStringInfo(&pending.memory);
		MemoryContextSwitchTo(caller);
	}
	appendBinaryStringInfo(&pending.memory, (const char *) &header, sizeof(header));
	appendBinaryStringInfo(&pending.memory, product.data, product.length);
	pending.end += sizeof(header) + product.length;
	if (pending.memory.len >= PENDING_MEMORY)
		pending_spill();
}

/* Has the transaction views that have not taken effect? */
bool
reco_pending_any(void)
{
	return pending.applied < pending.end;
}

/* Read the view at a position; returns the position behind it. */
static uint64
pending_read(uint64 position, PendingHeader *header, StringInfo product)
{
	if (position < pending.in_file)
	{
		/* a trigger may have inserted views, and moved the file's position */
		pending_seek(position);
		reco_buffile_read(pending.file, header, sizeof(*header));
		enlargeStringInfo(product, header->length);
		reco_buffile_read(pending.file, product->data, header->length);
	}
	else
	{
		const char *view = pending.memory.data + (position - pending.in_file);

		memcpy(header, view, sizeof(*header));
		enlargeStringInfo(product, header->length);
		memcpy(product->data, view + sizeof(*header), header->length);
	}
	return position + sizeof(*header) + header->length;
}

/* Let the views that are pending take effect. */
void
reco_pending_apply(RecoWrite *write)
{
	uint64		at = pending.applied;
	uint64		end = pending.end;
	RecoViewBatch *views;
	StringInfoData product;

	if (!reco_pending_any())
		return;
	pending_enter_level();
	pending.applied = end;		/* not once more by a trigger that inserts */
	reco_insert_nesting_begin();
	views = reco_view_batch_begin(write, RECO_VIEWS_ADD);
	initStringInfo(&product);
	while (at < end)
	{
		PendingHeader header;

		CHECK_FOR_INTERRUPTS();
		at = pending_read(at, &header, &product);
		reco_view_batch_put(views, header.user_id, (RecoSlice) {product.data, header.length}, header.at);
	}
	reco_view_batch_end(views);
	reco_insert_nesting_end();
	pfree(product.data);
}

static void
pending_error_context(void *arg)
{
	errcontext("recommendations brought up to date at commit");
}

/* The same, taking reco's lock. */
void
reco_pending_apply_now(void)
{
	RecoWrite  *write = reco_write_begin(NoLock);

	reco_pending_apply(write);
	reco_write_end(write);
}

/* They are known already: the tables were computed anew, with them. */
void
reco_pending_discard(void)
{
	if (!reco_pending_any())
		return;
	pending_enter_level();
	pending.applied = pending.end;
}

/* Apply them with the rights and the search_path of the trigger functions. */
static void
pending_apply_as_owner(void)
{
	int			nest = NewGUCNestLevel();
	Oid			user;
	int			context;
	RecoWrite  *write;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(pending.owner, context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	write = reco_write_begin(NoLock);
	if (reco_own_tables_have_triggers())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a trigger was added to a table of reco's after the transaction had inserted events"),
				 errhint("Run the transaction again.")));
	reco_pending_apply(write);
	reco_write_end(write);
	PopActiveSnapshot();
	SPI_finish();
	AtEOXact_GUC(true, nest);
	SetUserIdAndSecContext(user, context);
}

/* Is there anything to apply?  The transaction may have dropped the extension, and with it all that is derived. */
static bool
pending_is_due(void)
{
	return reco_pending_any() && get_extension_oid("reco", true) == pending.extension;
}

/* The transaction ends without an ERROR. */
static void
pending_close(void)
{
	if (pending.file != NULL)
		BufFileClose(pending.file);
	pending_reset();
}

static void
pending_pre_commit(void)
{
	ErrorContextCallback callback = {.callback = pending_error_context,.previous = error_context_stack};

	if (pending_is_due())
	{
		error_context_stack = &callback;
		pending_apply_as_owner();
		error_context_stack = callback.previous;
		reco_late_flush_request();
	}
	pending_close();
}

static void
pending_pre_prepare(void)
{
	if (pending_is_due())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has inserted into reco.activity"),
				 errhint("Insert the events in a transaction of their own.")));
	pending_close();
}

const RecoXactModule reco_pending_xact = {
	.pre_commit = pending_pre_commit,
	.pre_prepare = pending_pre_prepare,
	.reset = pending_reset,
	.commit_sub = pending_commit_sub,
	.abort_sub = pending_abort_sub,
};

PG_FUNCTION_INFO_V1(reco_require_no_pending);

/* reco.require_no_pending(what): refuses a transaction with events of its own. */
Datum
reco_require_no_pending(PG_FUNCTION_ARGS)
{
	if (reco_pending_any())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot run %s in a transaction that has inserted into reco.activity",
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail("Its events take effect when it commits."),
				 errhint("Commit first.")));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(reco_apply_events);

/* reco.apply_events(): now instead of at commit; the transaction holds reco's lock from here on. */
Datum
reco_apply_events(PG_FUNCTION_ARGS)
{
	if (!reco_pending_any())
		PG_RETURN_VOID();
	SPI_connect();
	reco_pending_apply_now();
	SPI_finish();
	PG_RETURN_VOID();
}
