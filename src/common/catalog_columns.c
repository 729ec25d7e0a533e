/*-------------------------------------------------------------------------
 *
 * catalog_columns.c
 *	  The setting reco.catalog_columns.
 *
 * "product_id=sku, category=path": each of the two names at most once, each
 * column an identifier as in SQL, which quotes keep as it is: its case, commas,
 * equals signs.  Called by the setting's check, too, in a process without a
 * database; reads and writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/catalog_columns.h"
#include "parser/scansup.h"

static void
skip_space(const char **p)
{
	while (scanner_isspace(**p))
		(*p)++;
}

/* Skip a character if it is there, and the space around it. */
static bool
skip_character(const char **p, char c)
{
	skip_space(p);
	if (**p != c)
		return false;
	(*p)++;
	skip_space(p);
	return true;
}

/* The inside of a quoted identifier; NULL if it does not end. */
static char *
parse_quoted(const char **p)
{
	char	   *name = palloc(strlen(*p));
	int			length = 0;

	for ((*p)++; (*p)[0] != '"' || (*p)[1] == '"'; (*p)++)
	{
		if (**p == '\0')
			return NULL;
		if (**p == '"')
			(*p)++;				/* two stand for one */
		name[length++] = **p;
	}
	(*p)++;
	name[length] = '\0';
	truncate_identifier(name, length, false);
	return name;
}

/* An identifier, palloc'd; NULL if there is none. */
static char *
parse_identifier(const char **p)
{
	const char *start = *p;
	char	   *name;

	if (*start == '"')
		name = parse_quoted(p);
	else
	{
		while (**p != '\0' && strchr(",=\"", **p) == NULL && !scanner_isspace(**p))
			(*p)++;
		name = downcase_truncate_identifier(start, *p - start, false);
	}
	return name != NULL && name[0] != '\0' ? name : NULL;
}

/*
 * Which columns the setting names, their default names where it is silent;
 * false if it cannot be understood.
 */
bool
reco_catalog_columns_parse(const char *text, RecoCatalogColumns *columns)
{
	const char *p = text ? text : "";

	columns->product_id = columns->category = NULL;
	skip_space(&p);
	while (*p != '\0')
	{
		char	   *name = parse_identifier(&p);
		char	  **column;

		if (name == NULL || !skip_character(&p, '='))
			return false;
		column = strcmp(name, "product_id") == 0 ? &columns->product_id :
			strcmp(name, "category") == 0 ? &columns->category : NULL;
		if (column == NULL || *column != NULL || (*column = parse_identifier(&p)) == NULL)
			return false;
		if (skip_character(&p, ',') ? *p == '\0' : *p != '\0')
			return false;
	}
	if (columns->product_id == NULL)
		columns->product_id = pstrdup("product_id");
	if (columns->category == NULL)
		columns->category = pstrdup("category");
	return true;
}
