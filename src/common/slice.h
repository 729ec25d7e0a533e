/*-------------------------------------------------------------------------
 *
 * slice.h
 *	  A reference to bytes of a text that are stored elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SLICE_H
#define RECO_SLICE_H

/* Not NUL-terminated; data is NULL if there is no text. */
typedef struct RecoSlice
{
	const char *data;
	int			length;
} RecoSlice;

#endif							/* RECO_SLICE_H */
