/*-------------------------------------------------------------------------
 *
 * private_file.c
 *	  Files that hold secrets.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <sys/stat.h>

#include "common/private_file.h"

/*
 * Like libpq with its password file, complain when others can read a file;
 * unlike libpq, use it all the same.
 */
void
reco_private_file_check(FILE *file, const char *what, const char *path)
{
	struct stat status;

	if (fstat(fileno(file), &status) != 0 || (status.st_mode & (S_IRWXG | S_IRWXO)) == 0)
		return;
	ereport(WARNING,
			(errmsg("%s \"%s\" has group or world access", what, path),
			 errhint("Permissions should be u=rw (0600) or less.")));
}
