/*-------------------------------------------------------------------------
 *
 * private_file.h
 *	  Files that hold secrets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRIVATE_FILE_H
#define RECO_PRIVATE_FILE_H

/* what: the kind of file, such as "password file" */
extern void reco_private_file_check(FILE *file, const char *what, const char *path);

#endif							/* RECO_PRIVATE_FILE_H */
