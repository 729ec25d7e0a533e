/*-------------------------------------------------------------------------
 *
 * properties.c
 *	  Files of key=value lines.
 *
 * Blanks around key and value do not count, empty lines and lines that begin
 * with # are skipped.  A value goes to the end of its line, whatever it holds.
 * An unreadable file or line is no ERROR here but a text for the caller, who
 * goes on with its work and tries again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/private_file.h"
#include "common/string.h"
#include "kafka/properties.h"
#include "lib/stringinfo.h"
#include "storage/fd.h"

/* Cut the blanks off both ends of a string, in place. */
static char *
trim(char *text)
{
	char	   *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

/* Take one line; returns false when it is neither empty nor key=value. */
static bool
read_line(char *text, int line, List **properties)
{
	RecoProperty *property;
	char	   *name = trim(text);
	char	   *equals = strchr(name, '=');

	if (name[0] == '\0' || name[0] == '#')
		return true;
	if (equals == NULL || equals == name)
		return false;
	*equals = '\0';

	property = palloc(sizeof(RecoProperty));
	property->name = pstrdup(trim(name));
	property->value = pstrdup(trim(equals + 1));
	property->line = line;
	*properties = lappend(*properties, property);
	return true;
}

/* Does one of the properties hold a password, a key or the like? */
static bool
hold_secret(const List *properties)
{
	ListCell   *cell;

	foreach(cell, properties)
	{
		const char *name = ((RecoProperty *) lfirst(cell))->name;

		if (strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
			strcmp(name, "ssl.key.pem") == 0 || strcmp(name, "sasl.oauthbearer.config") == 0)
			return true;
	}
	return false;
}

/*
 * Read a file into a list of RecoProperty, in the current memory context.
 * Returns NULL, or what is wrong.
 */
char *
reco_properties_read(const char *path, List **properties)
{
	FILE	   *file = AllocateFile(path, "r");
	StringInfoData text;
	int			line = 0;
	char	   *problem = NULL;

	*properties = NIL;
	if (file == NULL)
		return psprintf("could not open file \"%s\": %m", path);

	initStringInfo(&text);
	while (problem == NULL && pg_get_line_buf(file, &text))
	{
		if (!read_line(text.data, ++line, properties))
			problem = psprintf("line %d of file \"%s\" is not of the form key=value",
							   line, path);
	}
	if (problem == NULL && ferror(file))
		problem = psprintf("could not read file \"%s\": %m", path);
	if (hold_secret(*properties))
		reco_private_file_check(file, "configuration file", path);
	FreeFile(file);
	return problem;
}
