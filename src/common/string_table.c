/*-------------------------------------------------------------------------
 *
 * string_table.c
 *	  A hash table from text to int32, for product ids and categories.
 *
 * Touches memory only.  Texts are compared byte by byte, as COLLATE "C" does.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "common/string_table.h"

typedef struct NameEntry
{
	RecoSlice	name;
	uint32		hash;
	int32		value;
	char		status;
} NameEntry;

#define SH_PREFIX namehash
#define SH_ELEMENT_TYPE NameEntry
#define SH_KEY_TYPE RecoSlice
#define SH_KEY name
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key).data, (key).length)
#define SH_EQUAL(table, a, b) ((a).length == (b).length && memcmp((a).data, (b).data, (a).length) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct RecoStringTable
{
	namehash_hash *table;
};

/* A new table, which lives as long as the memory context. */
RecoStringTable *
reco_string_table_create(MemoryContext context)
{
	RecoStringTable *names = MemoryContextAlloc(context, sizeof(RecoStringTable));

	names->table = namehash_create(context, 256, NULL);
	return names;
}

/* The value of a name, NULL where it is not in the table. */
int32 *
reco_string_table_find(RecoStringTable *names, RecoSlice name)
{
	NameEntry  *entry = namehash_lookup(names->table, name);

	return entry ? &entry->value : NULL;
}

/*
 * Add a name that is not in the table yet.  Its bytes must live as long as
 * the table; the pointer is good until the next addition.
 */
int32 *
reco_string_table_add(RecoStringTable *names, RecoSlice name)
{
	bool		found;
	NameEntry  *entry = namehash_insert(names->table, name, &found);

	Assert(!found);
	return &entry->value;
}

/* Take a name out, if it is in the table. */
void
reco_string_table_remove(RecoStringTable *names, RecoSlice name)
{
	(void) namehash_delete(names->table, name);
}

int
reco_string_table_count(const RecoStringTable *names)
{
	return names->table->members;
}
