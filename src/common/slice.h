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
typedef struct RecoSlice
{
	const char *data;
	int			length;
} RecoSlice;

#endif							/* RECO_SLICE_H */
