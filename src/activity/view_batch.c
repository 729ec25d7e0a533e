/*-------------------------------------------------------------------------
 *
 * view_batch.c
 *	  From rows of activity to changes of counters and of users' rows.
 *
 * Page views come in any number and order.  Their products get numbers chunk
 * by chunk.  Counts by window and product are collected in a hash table,
 * which is written out when it is large.  The views themselves are sorted by
 * user, so that each user's row is written once.  Memory is bounded, whatever
 * the number of views.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/view_batch.h"
#include "activity/view_sort.h"
#include "common/hashfn.h"
#include "engine/product_dictionary.h"
#include "lists/user_state.h"
#include "lists/view_history.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "trending/window_counter.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define PAGE_VIEW "page_view"

/* Views in a chunk, whose products get their numbers at once. */
#define CHUNK_VIEWS 8192

/* Counters in memory, at most, before they are written. */
#define MAX_COUNTERS 200000

typedef struct CounterKey
{
	TimestampTz window;
	int32		number;
} CounterKey;

typedef struct Counter
{
	CounterKey	key;
	char		status;
	int64		views;
} Counter;

#define SH_PREFIX counters
#define SH_ELEMENT_TYPE Counter
#define SH_KEY_TYPE CounterKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) \
	hash_combine(murmurhash32((uint32) ((key).window / USECS_PER_SEC)), \
				 murmurhash32((uint32) (key).number))
#define SH_EQUAL(table, a, b) ((a).window == (b).window && (a).number == (b).number)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct RecoViewBatch
{
	RecoWrite  *write;
	const RecoState *state;
	RecoViewBatchMode mode;
	TimestampTz recent;			/* only later views count for users */
	counters_hash *counters;
	RecoViewSort *sort;
	bool		any_view;		/* in sort */
	MemoryContext chunk_context;
	int			chunk_count;
	RecoSlice	products[CHUNK_VIEWS];
	int32		numbers[CHUNK_VIEWS];
	int64		user_ids[CHUNK_VIEWS];
	TimestampTz times[CHUNK_VIEWS];
};

/* Begin a batch of views. */
RecoViewBatch *
reco_view_batch_begin(RecoWrite *write, RecoViewBatchMode mode)
{
	RecoViewBatch *views = palloc0(sizeof(RecoViewBatch));

	views->write = write;
	views->state = reco_write_state(write);
	views->mode = mode;
	views->recent = views->state->clock - views->state->recent_window * USECS_PER_SEC;
	views->counters = counters_create(CurrentMemoryContext, 1024, NULL);
	views->sort = reco_view_sort_begin();
	views->chunk_context = AllocSetContextCreate(CurrentMemoryContext, "reco views",
												 ALLOCSET_DEFAULT_SIZES);
	return views;
}

/* Write the counters collected so far. */
static void
views_write_counts(RecoViewBatch *views)
{
	RecoCounterDelta *counts;
	counters_iterator iterator;
	Counter    *counter;
	int			n = 0;
	instr_time	begun = reco_metrics_phase_begin();

	if (views->counters->members == 0)
		return;
	counts = palloc(views->counters->members * sizeof(RecoCounterDelta));
	counters_start_iterate(views->counters, &iterator);
	while ((counter = counters_iterate(views->counters, &iterator)) != NULL)
	{
		counts[n].window = counter->key.window;
		counts[n].number = counter->key.number;
		counts[n++].views = counter->views;
	}
	counters_reset(views->counters);
	reco_window_counter_add(views->write, counts, n);
	pfree(counts);
	reco_metrics_phase_end(RECO_PHASE_TRENDING, begun);
}

static void
views_count(RecoViewBatch *views, int i)
{
	CounterKey	key = {reco_state_window(views->state, views->times[i]), views->numbers[i]};
	bool		found;
	Counter    *counter = counters_insert(views->counters, key, &found);

	if (!found)
		counter->views = 0;
	counter->views += views->mode == RECO_VIEWS_REMOVE ? -1 : 1;
}

static void
views_sort(RecoViewBatch *views, int i)
{
	RecoUserView view = {views->user_ids[i],
	{.number = views->numbers[i],.second = reco_state_second(views->times[i])}};

	reco_view_sort_put(views->sort, &view);
	views->any_view = true;
}

/* Number the chunk's products, count its views and put them into the sort. */
static void
views_end_chunk(RecoViewBatch *views)
{
	instr_time	begun = reco_metrics_phase_begin();

	reco_dictionary_resolve(views->write, views->products, views->numbers, views->chunk_count);
	for (int i = 0; i < views->chunk_count; i++)
	{
		if (views->mode != RECO_VIEWS_REPLACE && views->times[i] >= views->state->horizon)
			views_count(views, i);
		if (views->mode != RECO_VIEWS_REMOVE && views->times[i] > views->recent)
			views_sort(views, i);
	}
	views->chunk_count = 0;
	MemoryContextReset(views->chunk_context);
	reco_metrics_phase_end(RECO_PHASE_SORT, begun);
	if (views->counters->members > MAX_COUNTERS)
		views_write_counts(views);
}

/* Add a view; product is copied. */
void
reco_view_batch_put(RecoViewBatch *views, int64 user_id, RecoSlice product, TimestampTz at)
{
	int			i = views->chunk_count++;
	char	   *copy = MemoryContextAlloc(views->chunk_context, product.length);

	memcpy(copy, product.data, product.length);
	views->products[i].data = copy;
	views->products[i].length = product.length;
	views->user_ids[i] = user_id;
	views->times[i] = at;
	if (views->chunk_count == CHUNK_VIEWS)
		views_end_chunk(views);
}

/*
 * Rows with nulls, which the table's constraints forbid unless its owner drops
 * them, are not views.
 */
static bool
views_is_page_view(TupleTableSlot *row)
{
	bool		null;
	text	   *type;

	slot_getallattrs(row);
	if (row->tts_isnull[RECO_ACTIVITY_EVENT_TYPE - 1] || row->tts_isnull[RECO_ACTIVITY_USER_ID - 1] ||
		row->tts_isnull[RECO_ACTIVITY_PRODUCT_ID - 1])
		return false;
	type = DatumGetTextPP(slot_getattr(row, RECO_ACTIVITY_EVENT_TYPE, &null));
	return VARSIZE_ANY_EXHDR(type) == sizeof(PAGE_VIEW) - 1 &&
		memcmp(VARDATA_ANY(type), PAGE_VIEW, sizeof(PAGE_VIEW) - 1) == 0;
}

/* Read a row of reco.activity; false: it is no page view. */
bool
reco_activity_view(TupleTableSlot *row, RecoActivityView *view)
{
	bool		null;
	text	   *product;

	if (!views_is_page_view(row))
		return false;
	product = DatumGetTextPP(slot_getattr(row, RECO_ACTIVITY_PRODUCT_ID, &null));
	view->user_id = DatumGetInt64(slot_getattr(row, RECO_ACTIVITY_USER_ID, &null));
	view->product = (RecoSlice) {VARDATA_ANY(product), VARSIZE_ANY_EXHDR(product)};
	view->at = DatumGetTimestampTz(slot_getattr(row, RECO_ACTIVITY_TIMESTAMP, &null));
	return true;
}

/* Add a row of reco.activity, if it is a page view: returns whether it is. */
bool
reco_view_batch_put_row(RecoViewBatch *views, TupleTableSlot *row)
{
	RecoActivityView view;

	if (!reco_activity_view(row, &view))
		return false;
	reco_view_batch_put(views, view.user_id, view.product, view.at);
	return true;
}

static void
views_write_user(RecoViewBatch *views, RecoUsers *users, int64 user_id, const RecoHistory *group)
{
	if (views->mode != RECO_VIEWS_ADD)
		reco_user_replace(users, user_id, group->views, group->count);
	else
		reco_user_add(users, user_id, group->views, group->count);
}

/* How many views the stages of prefetching are ahead of the writing. */
static const int ahead[RECO_PREFETCH_STAGES] = {12, 8, 4};

/* Prefetch the rows of users who come next. */
static void
views_prefetch(RecoUserRows *rows, const RecoViewSort *sort)
{
	for (int stage = 0; stage < RECO_PREFETCH_STAGES; stage++)
	{
		const RecoUserView *view = reco_view_sort_ahead(sort, ahead[stage]);

		if (view != NULL)
			reco_user_rows_prefetch(rows, view->user_id, stage);
	}
}

/* Write the users' rows in the order of their IDs; returns how many. */
static int64
views_write_users(RecoViewBatch *views)
{
	RecoUsers  *users = reco_user_open(views->write);
	RecoHistory group;
	RecoUserView next;
	int64		user_id = 0;
	int			limit = Max(1024, 2 * views->state->max_user_views);
	instr_time	begun = reco_metrics_phase_begin();
	int64		written;

	reco_history_init(&group);
	reco_view_sort_perform(views->sort);
	while (reco_view_sort_next(views->sort, &next))
	{
		CHECK_FOR_INTERRUPTS();
		views_prefetch(reco_user_rows(users), views->sort);
		if (group.count > 0 && next.user_id != user_id)
		{
			views_write_user(views, users, user_id, &group);
			group.count = 0;
		}
		user_id = next.user_id;
		reco_history_add(&group, &next.view, 1);
		if (group.count >= limit)
			reco_history_cap(&group, views->state->max_user_views, reco_dictionary_compare);
	}
	if (group.count > 0)
		views_write_user(views, users, user_id, &group);
	written = reco_user_close(users);
	reco_metrics_phase_end(RECO_PHASE_USERS, begun);
	return written;
}

/*
 * Bring counters and users' rows up to date; returns the number of the latter
 * that were written.
 */
int64
reco_view_batch_end(RecoViewBatch *views)
{
	int64		written = 0;

	if (views->chunk_count > 0)
		views_end_chunk(views);
	views_write_counts(views);
	if (views->any_view)
		written = views_write_users(views);
	reco_view_sort_end(views->sort);
	counters_destroy(views->counters);
	MemoryContextDelete(views->chunk_context);
	pfree(views);
	return written;
}
