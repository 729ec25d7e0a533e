/*-------------------------------------------------------------------------
 *
 * written.c
 *	  Users whose rows were written since a moment.
 *
 * For who looks through the users' rows without reco's lock (invalidation_prescan.c): what was
 * written meanwhile has to be looked at again.  Whoever writes such a row notes
 * it here, while somebody watches.  What is rolled back was noted for nothing.
 *
 * In shared memory, and guarded by the lock of that reco whose worker watches: it
 * is held whenever this is read or written, until the end of the transaction.
 * Another database, whose reco no worker serves, only looks whether it is meant.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "shmem/shmem.h"
#include "shmem/written.h"

/* 2 MB: a second at 100,000 events/s, while a search takes less. */
#define MAX_WRITTEN (128 * 1024)

typedef struct Written
{
	Oid			database;		/* that is watched; InvalidOid: none */
	int			count;			/* MAX_WRITTEN + 1: there were more */
	RecoUserPlace users[MAX_WRITTEN];
} Written;

static Written *written = NULL;

const RecoShmemArea reco_written_area = {
	.name = "reco_written",.size = sizeof(Written),.address = (void **) &written
};

/* From now on: transactions that wrote before have ended, since they had the lock. */
void
reco_written_watch(void)
{
	written->count = 0;
	written->database = MyDatabaseId;
}

/* The user's row has been written. */
void
reco_written_add(int64 user_id, ItemPointer place)
{
	if (written->database != MyDatabaseId || written->count > MAX_WRITTEN)
		return;
	if (written->count < MAX_WRITTEN)
		written->users[written->count] = (RecoUserPlace) {.user_id = user_id,.place = *place};
	written->count++;
}

/* How many there were, some of them twice, good until the lock is given back; -1: too many. */
int
reco_written_end(const RecoUserPlace **users)
{
	*users = written->users;
	written->database = InvalidOid;
	return written->count > MAX_WRITTEN ? -1 : written->count;
}
