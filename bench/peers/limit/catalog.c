/*
 * catalog.c: names as numbers, and the catalog in the order of lists.
 *
 * Products and categories are numbered alike.  Used by one thread.
 */
#include "catalog.h"

#include <string.h>

#include "event.h"

Name	   *names;
Numbers    *shelves;
int32_t    *by_position;
uint64_t   *popularity;
int			catalog_size,
			catalog_names;

static Table table;
static char *bytes;
static size_t bytes_length, bytes_size;
static int32_t *name_rank;		/* NULL while it is not known */

static uint64_t
hash_bytes(const char *at, size_t length)
{
	uint64_t	hash = length,
				word;

	for (; length >= 8; at += 8, length -= 8)
	{
		memcpy(&word, at, 8);
		hash = mix(hash ^ word);
	}
	word = 0;
	memcpy(&word, at, length);
	return mix(hash ^ word);
}

const char *
name_text(const Name *name)
{
	return bytes + name->text;
}

const char *
name_json(const Name *name)
{
	return bytes + name->json;
}

static int32_t
add_bytes(const char *text, int length)
{
	if (bytes_length + length > bytes_size)
		bytes = resize(bytes, bytes_size = 2 * (bytes_size + length));
	memcpy(bytes + bytes_length, text, length);
	bytes_length += length;
	return bytes_length - length;
}

static int
escape_json(const char *name, int length, char *json)
{
	int			n = 0;

	json[n++] = '"';
	for (int i = 0; i < length; i++)
	{
		const char *special = strchr("\bb\ff\nn\rr\tt\"\"\\\\", name[i]);

		if ((unsigned char) name[i] < ' ' && special == NULL)
			n += sprintf(json + n, "\\u%04x", name[i]);
		else if ((unsigned char) name[i] < ' ' || name[i] == '"' || name[i] == '\\')
			json[n++] = '\\', json[n++] = special[1];
		else
			json[n++] = name[i];
	}
	json[n++] = '"';
	return n;
}

int32_t
name_number(const char *text, int length)
{
	uint64_t	hash = hash_bytes(text, length);
	char		json[6 * MAX_PRODUCT_BYTES + 2];
	Slot	   *slot = NULL;
	Name	   *name;

	reserve(&table);
	while ((slot = find_slot(&table, hash, slot))->number)
	{
		name = &names[slot->number - 1];
		if (name->length == length && memcmp(bytes + name->text, text, length) == 0)
			return slot->number - 1;
	}
	if ((table.count & (table.count - 1)) == 0)
		names = resize(names, (2 * table.count + 1) * sizeof(Name));
	*slot = (Slot) {hash, ++table.count};
	name = &names[slot->number - 1];
	*name = (Name) {.category = NONE, .position = NONE, .text = add_bytes(text, length), .length = length};
	name->json_length = escape_json(text, length, json);
	name->json = add_bytes(json, name->json_length);
	return slot->number - 1;
}

int
compare_names(int32_t a, int32_t b)
{
	const Name *x = &names[a],
			   *y = &names[b];
	int			order = memcmp(bytes + x->text, bytes + y->text, x->length < y->length ? x->length : y->length);

	return order ? order : x->length - y->length;
}

static int
by_popularity(const void *a, const void *b)
{
	int32_t		x = *(const int32_t *) a,
				y = *(const int32_t *) b;

	if (popularity[x] != popularity[y])
		return popularity[x] < popularity[y] ? 1 : -1;
	return name_rank ? name_rank[x] - name_rank[y] : compare_names(x, y);
}

void
catalog_sort(void)
{
	qsort(by_position, catalog_size, sizeof(int32_t), by_popularity);
	for (int category = 0; category < catalog_names; category++)
		shelves[category].count = 0;
	for (int position = 0; position < catalog_size; position++)
	{
		Name	   *product = &names[by_position[position]];

		product->position = position;
		if (product->category != NONE)
			push(&shelves[product->category], position);
	}
}

/* Lines of product_id TAB category; no category is none; the smallest of several counts. */
void
catalog_load(const char *path)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		length;
	Numbers		products = {0};

	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	while ((length = getline(&line, &size, file)) > 0)
	{
		int			end = line[length - 1] == '\n' ? length - 1 : length;
		char	   *tab = memchr(line, '\t', end);
		int32_t		number = name_number(line, tab ? tab - line : end);
		int32_t		category = tab && tab + 1 < line + end ? name_number(tab + 1, line + end - tab - 1) : NONE;
		Name	   *product = &names[number];

		if (product->position == NONE)
			push(&products, number);
		product->position = 0;
		if (category != NONE && (product->category == NONE || compare_names(category, product->category) < 0))
			product->category = category;
	}
	fclose(file);
	free(line);

	by_position = products.items;
	catalog_size = products.count;
	catalog_names = table.count;
	shelves = calloc(catalog_names + 1, sizeof(Numbers));
	popularity = calloc(catalog_names + 1, sizeof(uint64_t));
	catalog_sort();
	name_rank = resize(NULL, (catalog_names + 1) * sizeof(int32_t));
	for (int position = 0; position < catalog_size; position++)
		name_rank[by_position[position]] = position;
}
