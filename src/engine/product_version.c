/*-------------------------------------------------------------------------
 *
 * product_version.c
 *	  Versions of the mirror in shared memory.
 *
 * All processes compute lists from one copy of the mirror, in dynamic shared
 * memory.  A version of it is never changed: whoever changes the mirror, and so
 * holds reco's lock, makes the next one, which shares with it all but what the
 * change is about (product_change.c), and publishes it when the transaction
 * commits, before the lock is released.  So whoever holds the lock finds the
 * version that reco.state names; a version that is missing is built by the one
 * who holds the lock then.
 *
 * Readers pin a version for the time of a transaction at most.  The versions of
 * a database form a list, the oldest first.  When nobody pins the oldest one,
 * what its successor has replaced is freed.
 *
 * One LWLock guards the lists, and is held for the change of a few pointers.
 * Callbacks at the end of a transaction only move versions from one list to
 * another: freeing may raise an ERROR, and is left to whoever takes reco's lock
 * next.  A backend that ends runs these callbacks; one that is killed makes the
 * server start with empty shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "engine/product_version.h"
#include "miscadmin.h"
#include "shmem/shmem.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Databases that have the extension, and in which it has been used since the server started. */
#define MAX_DATABASES 64

/* Room for the control data of the area; what it holds is elsewhere. */
#define AREA_SIZE (128 * 1024)

typedef struct DatabaseVersions
{
	Oid			database;		/* InvalidOid: the entry is free */
	dsa_pointer oldest;
	dsa_pointer newest;
	bool		forgotten;		/* the newest one is not in force either */
} DatabaseVersions;

typedef struct Versions
{
	LWLock	   *lock;
	pg_atomic_uint64 serial;
	pg_atomic_uint64 builds;
	pg_atomic_uint64 count;
	pg_atomic_uint64 bytes;
	pg_atomic_uint64 garbage;	/* versions that are not in force */
	dsa_pointer discarded;
	DatabaseVersions databases[MAX_DATABASES];
	char		area[AREA_SIZE] pg_attribute_aligned(MAXIMUM_ALIGNOF);
} Versions;

static Versions *shared = NULL;
static dsa_area *area = NULL;

static void
version_init(LWLock *lock)
{
	dsa_area   *created;

	if (dsa_minimum_size() > AREA_SIZE)
		elog(FATAL, "the control data of a dynamic shared memory area needs %zu bytes", dsa_minimum_size());
	shared->lock = lock;
	pg_atomic_init_u64(&shared->serial, 0);
	pg_atomic_init_u64(&shared->builds, 0);
	pg_atomic_init_u64(&shared->count, 0);
	pg_atomic_init_u64(&shared->bytes, 0);
	pg_atomic_init_u64(&shared->garbage, 0);
	created = dsa_create_in_place(shared->area, AREA_SIZE, lock->tranche, NULL);
	dsa_pin(created);
	dsa_detach(created);
}

const RecoShmemArea reco_version_area = {
	.name = "reco_products",.size = sizeof(Versions),.address = (void **) &shared,
	.init = version_init,.has_lock = true
};

RecoVersionUsage
reco_version_usage(void)
{
	return (RecoVersionUsage) {
		pg_atomic_read_u64(&shared->builds), pg_atomic_read_u64(&shared->count), pg_atomic_read_u64(&shared->bytes)
	};
}

static void
version_attach(void)
{
	MemoryContext caller;

	if (area != NULL)
		return;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(shared->area, NULL);
	dsa_pin_mapping(area);
	on_shmem_exit(dsa_on_shmem_exit_release_in_place, PointerGetDatum(shared->area));
	MemoryContextSwitchTo(caller);
}

void *
reco_version_address(dsa_pointer piece)
{
	return dsa_get_address(area, piece);
}

static dsa_pointer
version_allocate_raw(Size size, RecoPiece **address)
{
	dsa_pointer piece;

	dsa_set_size_limit(area, (Size) reco_product_memory * 1024);
	piece = dsa_allocate_extended(area, size, DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM);
	if (!DsaPointerIsValid(piece))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the products of the catalog do not fit into shared memory"),
				 errdetail("reco.product_memory limits it to %d kB; " UINT64_FORMAT " kB are in use.",
						   reco_product_memory, pg_atomic_read_u64(&shared->bytes) / 1024),
				 errhint("Increase reco.product_memory and reload the configuration.")));
	*address = dsa_get_address(area, piece);
	**address = (RecoPiece) {InvalidDsaPointer, InvalidDsaPointer, size};
	pg_atomic_fetch_add_u64(&shared->bytes, size);
	return piece;
}

static void
version_free_piece(dsa_pointer piece)
{
	if (!DsaPointerIsValid(piece))
		return;
	pg_atomic_fetch_sub_u64(&shared->bytes, ((RecoPiece *) dsa_get_address(area, piece))->size);
	dsa_free(area, piece);
}

/* Allocate a piece that belongs to the version and is freed with it; address: where to put the pointer. */
dsa_pointer
reco_version_allocate(RecoVersion *version, Size size, void *address)
{
	RecoPiece  *header;
	dsa_pointer piece = version_allocate_raw(size, &header);

	header->created = version->created;
	version->created = piece;
	*(void **) address = header;
	return piece;
}

/* The version before this one has a piece that this one does not use any more. */
void
reco_version_replace(RecoVersion *version, dsa_pointer piece)
{
	RecoPiece  *header;

	if (!DsaPointerIsValid(piece))
		return;
	header = dsa_get_address(area, piece);
	header->replaced = version->replaced;
	version->replaced = piece;
}

/* The entry of a database, or with InvalidOid one that is free; NULL: none.  Under the LWLock. */
static DatabaseVersions *
version_find_database(Oid database)
{
	for (int i = 0; i < MAX_DATABASES; i++)
		if (shared->databases[i].database == database)
			return &shared->databases[i];
	return NULL;
}

/*
 * Make sure that a version can be published later without an ERROR: the database
 * has an entry, and the process has mapped the version in force.
 */
static void
version_prepare_to_publish(void)
{
	DatabaseVersions *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = version_find_database(MyDatabaseId);
	if (entry == NULL)
	{
		entry = version_find_database(InvalidOid);
		if (entry == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("reco cannot be used in more than %d databases of a server", MAX_DATABASES),
					 errhint("Run DROP EXTENSION reco in databases that do not need it.")));
		*entry = (DatabaseVersions) {.database = MyDatabaseId};
	}
	if (DsaPointerIsValid(entry->newest))
		(void) dsa_get_address(area, entry->newest);
	LWLockRelease(shared->lock);
}

RecoVersion *
reco_version_pin(void)
{
	DatabaseVersions *entry;
	RecoVersion *version = NULL;

	version_attach();
	LWLockAcquire(shared->lock, LW_SHARED);
	entry = version_find_database(MyDatabaseId);
	if (entry != NULL && DsaPointerIsValid(entry->newest) && !entry->forgotten)
	{
		version = dsa_get_address(area, entry->newest);
		pg_atomic_fetch_add_u32(&version->pins, 1);
	}
	LWLockRelease(shared->lock);
	return version;
}

void
reco_version_unpin(RecoVersion *version)
{
	pg_atomic_fetch_sub_u32(&version->pins, 1);
}

/* Has no other version been published after one that is pinned?  Under reco's lock. */
bool
reco_version_is_newest(const RecoVersion *version)
{
	return !DsaPointerIsValid(version->newer);
}

/*
 * Begin a version: a copy of the base, or the first one of a family (NULL).
 * The caller either publishes or discards it.
 */
RecoVersion *
reco_version_create(const RecoVersion *base)
{
	RecoVersion *version;
	RecoPiece  *header;
	dsa_pointer self;

	version_attach();
	version_prepare_to_publish();
	self = version_allocate_raw(sizeof(RecoVersion), &header);
	version = (RecoVersion *) header;
	if (base != NULL)
		memcpy((char *) version + sizeof(RecoPiece), (const char *) base + sizeof(RecoPiece),
			   sizeof(RecoVersion) - sizeof(RecoPiece));
	else
		memset((char *) version + sizeof(RecoPiece), 0, sizeof(RecoVersion) - sizeof(RecoPiece));
	version->self = self;
	version->serial = pg_atomic_add_fetch_u64(&shared->serial, 1);
	version->created = version->replaced = version->newer = InvalidDsaPointer;
	version->is_first = base == NULL;
	if (version->is_first)
		version->family = version->serial;
	pg_atomic_init_u32(&version->pins, 0);
	pg_atomic_fetch_add_u64(&shared->count, 1);
	return version;
}

/*
 * Put a version into force, whose transaction has committed or which says what
 * is committed.  Under reco's lock; raises no ERROR.  With pin, it is pinned.
 * False: there is no room for another database.
 */
bool
reco_version_publish(RecoVersion *version, bool pin)
{
	DatabaseVersions *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = version_find_database(MyDatabaseId);
	if (entry == NULL)
	{
		/* its versions were forgotten, and have been freed since */
		entry = version_find_database(InvalidOid);
		if (entry == NULL)
		{
			LWLockRelease(shared->lock);
			return false;
		}
		*entry = (DatabaseVersions) {.database = MyDatabaseId};
	}
	if (DsaPointerIsValid(entry->newest))
	{
		((RecoVersion *) dsa_get_address(area, entry->newest))->newer = version->self;
		/* one that was forgotten has been counted */
		pg_atomic_fetch_add_u64(&shared->garbage, entry->forgotten ? 0 : 1);
	}
	else
		entry->oldest = version->self;
	entry->newest = version->self;
	entry->forgotten = false;
	if (pin)
		pg_atomic_fetch_add_u32(&version->pins, 1);
	LWLockRelease(shared->lock);
	if (version->is_first)
		pg_atomic_fetch_add_u64(&shared->builds, 1);
	return true;
}

/* Give up a version that is not published; raises no ERROR. */
void
reco_version_discard(RecoVersion *version)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	version->newer = shared->discarded;
	shared->discarded = version->self;
	LWLockRelease(shared->lock);
	pg_atomic_fetch_add_u64(&shared->garbage, 1);
}

static void
version_forget(DatabaseVersions *entry)
{
	if (!DsaPointerIsValid(entry->newest))
		entry->database = InvalidOid;
	else if (!entry->forgotten)
	{
		entry->forgotten = true;
		pg_atomic_fetch_add_u64(&shared->garbage, 1);
	}
}

/* The transaction has dropped a database; raises no ERROR, as the next. */
void
reco_version_forget_database(Oid database)
{
	DatabaseVersions *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = version_find_database(database);
	if (entry != NULL)
		version_forget(entry);
	LWLockRelease(shared->lock);
}

/* Free a chain of pieces, each of which has the next one at an offset. */
static void
version_free_chain(dsa_pointer piece, size_t link)
{
	while (DsaPointerIsValid(piece))
	{
		dsa_pointer next = *(dsa_pointer *) ((char *) dsa_get_address(area, piece) + link);

		version_free_piece(piece);
		piece = next;
	}
}

/* Free the pages of a directory, and it. */
static void
version_free_directory(dsa_pointer directory, int pages, bool of_categories)
{
	RecoDirectory *found;

	if (!DsaPointerIsValid(directory))
		return;
	found = dsa_get_address(area, directory);
	for (int i = 0; i < pages; i++)
	{
		if (of_categories && DsaPointerIsValid(found->pages[i]))
		{
			RecoCategoryPage *page = dsa_get_address(area, found->pages[i]);

			for (int j = 0; j < RECO_PAGE_CATEGORIES; j++)
				version_free_piece(page->entries[j].products);
		}
		version_free_piece(found->pages[i]);
	}
	version_free_piece(directory);
}

/* Free a version that was taken out of its list. */
static void
version_free(RecoVersion *version, dsa_pointer replaced, bool is_last, bool was_published)
{
	if (!was_published)
		version_free_chain(version->created, offsetof(RecoPiece, created));
	else if (is_last)
	{
		version_free_directory(version->numbers_directory,
							   RECO_PAGES(version->number_end, RECO_PAGE_NUMBERS), false);
		version_free_directory(version->categories_directory,
							   RECO_PAGES(version->category_count, RECO_PAGE_CATEGORIES), true);
		version_free_chain(version->texts, offsetof(RecoTextBlock, older));
		version_free_piece(version->ids);
	}
	else
		version_free_chain(replaced, offsetof(RecoPiece, replaced));
	version_free_piece(version->self);
	pg_atomic_fetch_sub_u64(&shared->count, 1);
}

/*
 * Take the oldest version of a list out of it, unless it is in force or somebody
 * reads it.  *replaced: what only it uses; *is_last: it is the last one of its
 * family, and nobody uses any of it.
 */
static RecoVersion *
version_take_oldest(DatabaseVersions *entry, dsa_pointer *replaced, bool *is_last)
{
	RecoVersion *version;

	if (!DsaPointerIsValid(entry->oldest) || (entry->oldest == entry->newest && !entry->forgotten))
		return NULL;
	version = dsa_get_address(area, entry->oldest);
	if (pg_atomic_read_u32(&version->pins) > 0)
		return NULL;
	*is_last = true;
	if (entry->oldest == entry->newest)
	{
		*entry = (DatabaseVersions) {.database = InvalidOid};
		return version;
	}
	else
	{
		RecoVersion *newer = dsa_get_address(area, version->newer);

		*is_last = newer->is_first;
		*replaced = newer->replaced;
		newer->replaced = InvalidDsaPointer;
		entry->oldest = version->newer;
	}
	return version;
}

void
reco_version_reclaim(void)
{
	version_attach();
	while (pg_atomic_read_u64(&shared->garbage) > 0)
	{
		RecoVersion *version = NULL;
		dsa_pointer replaced = InvalidDsaPointer;
		bool		is_last = false;
		bool		published = true;

		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		if (DsaPointerIsValid(shared->discarded))
		{
			version = dsa_get_address(area, shared->discarded);
			shared->discarded = version->newer;
			published = false;
		}
		for (int i = 0; i < MAX_DATABASES && version == NULL; i++)
			version = version_take_oldest(&shared->databases[i], &replaced, &is_last);
		LWLockRelease(shared->lock);
		if (version == NULL)
			return;
		pg_atomic_fetch_sub_u64(&shared->garbage, 1);
		version_free(version, replaced, is_last, published);
	}
}
