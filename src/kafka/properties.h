/*-------------------------------------------------------------------------
 *
 * properties.h
 *	  Files of key=value lines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PROPERTIES_H
#define RECO_PROPERTIES_H

#include "nodes/pg_list.h"

typedef struct RecoProperty
{
	char	   *name;
	char	   *value;			/* maybe a secret: never show it */
	int			line;
} RecoProperty;

extern char *reco_properties_read(const char *path, List **properties);

#endif							/* RECO_PROPERTIES_H */
