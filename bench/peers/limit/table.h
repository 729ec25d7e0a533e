/* table.h: growing arrays and a hash table with open addressing. */
#ifndef TABLE_H
#define TABLE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Numbers
{
	int32_t    *items;
	int			count;
	int			size;
} Numbers;

typedef struct Slot
{
	uint64_t	key;
	int32_t		number;			/* + 1; 0: free */
} Slot;

typedef struct Table
{
	Slot	   *slots;
	uint64_t	mask;
	int			count;
} Table;

static inline void *
resize(void *array, size_t size)
{
	array = realloc(array, size);
	if (array == NULL)
	{
		fprintf(stderr, "limit: out of memory\n");
		exit(1);
	}
	return array;
}

static inline void
push(Numbers *numbers, int32_t item)
{
	if (numbers->count == numbers->size)
	{
		numbers->size = numbers->size ? 2 * numbers->size : 4;
		numbers->items = resize(numbers->items, numbers->size * sizeof(int32_t));
	}
	numbers->items[numbers->count++] = item;
}

static inline uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
	return x ^ (x >> 29);
}

static inline void
grow(Table *table)
{
	Table		old = *table;

	table->mask = old.slots ? 2 * old.mask + 1 : 4095;
	table->slots = calloc(table->mask + 1, sizeof(Slot));
	for (uint64_t i = 0; old.slots && i <= old.mask; i++)
	{
		uint64_t	at = mix(old.slots[i].key) & table->mask;

		while (old.slots[i].number && table->slots[at].number)
			at = (at + 1) & table->mask;
		if (old.slots[i].number)
			table->slots[at] = old.slots[i];
	}
	free(old.slots);
}

/* The slot of this key, or a free one; several keys of the same hash follow each other. */
static inline Slot *
find_slot(Table *table, uint64_t key, Slot *after)
{
	uint64_t	at = after ? (after - table->slots + 1) & table->mask : mix(key) & table->mask;

	while (table->slots[at].number && table->slots[at].key != key)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

/* Make room for one more. */
static inline void
reserve(Table *table)
{
	if (table->slots == NULL || 2 * (uint64_t) table->count > table->mask)
		grow(table);
}

#endif
