/*-------------------------------------------------------------------------
 *
 * own_extension.h
 *	  Does the installed extension have the version of this library?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_OWN_EXTENSION_H
#define RECO_OWN_EXTENSION_H

/* The version of this library: default_version in reco.control. */
#define RECO_VERSION "1.0"

/* The extension's row in pg_extension, and what follows from it. */
typedef struct RecoOwnExtension
{
	Oid			oid;
	Oid			owner;
	char		version[NAMEDATALEN];
	const char *remedy;			/* what to wait for if the version differs, else NULL */
	const char *hint;
} RecoOwnExtension;

/* A format for the extension's version and RECO_VERSION. */
#define RECO_OWN_EXTENSION_MISFIT \
	"extension \"reco\" has version %s, but the server has loaded the library of version %s"

/* Find the extension, within a transaction; false if it does not exist. */
extern bool reco_own_extension_find(RecoOwnExtension *extension);

/* ERROR if the version differs; check() keeps the result, and is cheap. */
extern void reco_own_extension_require(const RecoOwnExtension *extension);
extern void reco_own_extension_check(bool anew);

#endif							/* RECO_OWN_EXTENSION_H */
