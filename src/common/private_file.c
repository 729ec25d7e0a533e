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
 * Warn if others can read the file, as libpq does about its password file;
 * unlike there, the file is used all the same.
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
