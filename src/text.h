/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Text that somebody else holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TEXT_H
#define RECO_TEXT_H

/* Not terminated; data is NULL where there is none. */
typedef struct RecoText
{
	const char *data;
	int			length;
} RecoText;

#endif							/* RECO_TEXT_H */
