/*-------------------------------------------------------------------------
 *
 * catalog_columns.c
 *	  The setting reco.catalog_columns.
 *
 * "product_id=sku, category=path": each of the two names at most once, each
 * column an SQL identifier; quotes preserve case, commas and equals signs.  The
 * parser also runs in the GUC's check hook, in processes without a database.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/catalog_columns.h"
#include "parser/scansup.h"

static void
columns_skip_space(const char **p)
{
	while (scanner_isspace(**p))
		(*p)++;
}

/* Skip a character if it is there, and the space around it. */
static bool
columns_skip_character(const char **p, char c)
{
	columns_skip_space(p);
	if (**p != c)
		return false;
	(*p)++;
	columns_skip_space(p);
	return true;
}

/* Parse a quoted identifier; NULL if the closing quote is missing. */
static char *
columns_parse_quoted(const char **p)
{
	char	   *name = palloc(strlen(*p));
	int			length = 0;

	for ((*p)++; (*p)[0] != '"' || (*p)[1] == '"'; (*p)++)
	{
		if (**p == '\0')
			return NULL;
		if (**p == '"')
			(*p)++;				/* a doubled quote stands for one */
		name[length++] = **p;
	}
	(*p)++;
	name[length] = '\0';
	truncate_identifier(name, length, false);
	return name;
}

/* Parse an identifier, palloc'd; NULL if there is none. */
static char *
columns_parse_identifier(const char **p)
{
	const char *start = *p;
	char	   *name;

	if (*start == '"')
		name = columns_parse_quoted(p);
	else
	{
		while (**p != '\0' && strchr(",=\"", **p) == NULL && !scanner_isspace(**p))
			(*p)++;
		name = downcase_truncate_identifier(start, *p - start, false);
	}
	return name != NULL && name[0] != '\0' ? name : NULL;
}

/*
 * Parse the setting; columns that it does not mention get their default names.
 * Returns false on a syntax error.
 */
bool
reco_catalog_columns_parse(const char *text, RecoCatalogColumns *columns)
{
	const char *p = text ? text : "";

	columns->product_id = columns->category = NULL;
	columns_skip_space(&p);
	while (*p != '\0')
	{
		char	   *name = columns_parse_identifier(&p);
		char	  **column;

		if (name == NULL || !columns_skip_character(&p, '='))
			return false;
		column = strcmp(name, "product_id") == 0 ? &columns->product_id :
			strcmp(name, "category") == 0 ? &columns->category : NULL;
		if (column == NULL || *column != NULL || (*column = columns_parse_identifier(&p)) == NULL)
			return false;
		if (columns_skip_character(&p, ',') ? *p == '\0' : *p != '\0')
			return false;
	}
	if (columns->product_id == NULL)
		columns->product_id = pstrdup("product_id");
	if (columns->category == NULL)
		columns->category = pstrdup("category");
	return true;
}
