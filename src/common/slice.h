/*-------------------------------------------------------------------------
 *
 * slice.h
 *	  Text that somebody else holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SLICE_H
#define RECO_SLICE_H

/* Not terminated; data is NULL where there is none. */
typedef struct RecoText
{
	const char *data;
	int			length;
} RecoText;

#endif							/* RECO_SLICE_H */
