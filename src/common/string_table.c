/*-------------------------------------------------------------------------
 *
 * string_table.c
 *	  A hash table from text to int32, for product ids and categories.
 *
 * Texts are compared byte by byte, as with COLLATE "C".
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "common/string_table.h"

typedef struct StringEntry
{
	RecoSlice	string;
	uint32		hash;
	int32		value;
	char		status;
} StringEntry;

#define SH_PREFIX stringhash
#define SH_ELEMENT_TYPE StringEntry
#define SH_KEY_TYPE RecoSlice
#define SH_KEY string
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
	stringhash_hash *hash;
};

/* Create a table, which lives as long as the memory context. */
RecoStringTable *
reco_string_table_create(MemoryContext context)
{
	RecoStringTable *table = MemoryContextAlloc(context, sizeof(RecoStringTable));

	table->hash = stringhash_create(context, 256, NULL);
	return table;
}

/* The value of a string; NULL if it is not in the table. */
int32 *
reco_string_table_find(RecoStringTable *table, RecoSlice string)
{
	StringEntry *entry = stringhash_lookup(table->hash, string);

	return entry ? &entry->value : NULL;
}

/*
 * Add a string that is not in the table yet.  Its bytes must live as long as
 * the table; the pointer is valid until the next addition.
 */
int32 *
reco_string_table_add(RecoStringTable *table, RecoSlice string)
{
	bool		found;
	StringEntry *entry = stringhash_insert(table->hash, string, &found);

	Assert(!found);
	return &entry->value;
}

/* Remove a string, if it is in the table. */
void
reco_string_table_remove(RecoStringTable *table, RecoSlice string)
{
	(void) stringhash_delete(table->hash, string);
}

int
reco_string_table_count(const RecoStringTable *table)
{
	return table->hash->members;
}
