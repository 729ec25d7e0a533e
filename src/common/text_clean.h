/*-------------------------------------------------------------------------
 *
 * text_clean.h
 *	  Foreign text made safe to display.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TEXT_CLEAN_H
#define RECO_TEXT_CLEAN_H

extern void reco_text_clean(char *text);
extern void reco_text_copy(char *to, const char *from, size_t size);

#endif							/* RECO_TEXT_CLEAN_H */
