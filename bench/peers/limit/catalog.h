/* catalog.h: names as numbers, and the catalog in the order of lists. */
#ifndef CATALOG_H
#define CATALOG_H

#include "table.h"

#define NONE (-1)

/* A product or category. */
typedef struct Name
{
	int32_t		category;		/* of a product; NONE: none, or not in the catalog */
	int32_t		position;		/* in all of the catalog: more popular first, then by name; NONE: not in it */
	int32_t		text;			/* where its bytes are */
	int32_t		length;
	int32_t		json;			/* the same as a JSON string, with its quotes */
	int32_t		json_length;
} Name;

extern Name *names;
extern Numbers *shelves;		/* of each category, the positions of its products */
extern int32_t *by_position;	/* the product at a position */
extern uint64_t *popularity;	/* by number */
extern int	catalog_size;		/* products */
extern int	catalog_names;		/* products and categories of the catalog: the least numbers */

extern void catalog_load(const char *path);

/* Popularity has changed. */
extern void catalog_sort(void);

extern int32_t name_number(const char *text, int length);
extern int	compare_names(int32_t a, int32_t b);
extern const char *name_json(const Name *name);
extern const char *name_text(const Name *name);

#endif
