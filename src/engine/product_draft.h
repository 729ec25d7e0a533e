/*-------------------------------------------------------------------------
 *
 * product_draft.h
 *	  A version of the mirror while it is made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_DRAFT_H
#define RECO_PRODUCT_DRAFT_H

#include "common/string_table.h"
#include "engine/product_version.h"
#include "lib/stringinfo.h"

/* Pages of one kind. */
typedef struct RecoDraftPages
{
	int			count;
	dsa_pointer *pages;
	void	  **own;			/* those that the version has made; NULL: of the base, or none */
	bool		written;
} RecoDraftPages;

typedef struct RecoDraft
{
	RecoVersion *version;
	bool		replaces;		/* pieces of the base are noted as replaced */
	RecoDraftPages	numbers;
	RecoDraftPages	categories;
	RecoTextBlock *block;		/* with room for texts */
	dsa_pointer block_pointer;
	Size		block_used;
	Size		block_size;
	StringInfoData json;		/* scratch space */
} RecoDraft;

extern void reco_draft_begin(RecoDraft *draft, RecoVersion *version, bool replaces);
extern void reco_draft_end(RecoDraft *draft);

/* Products by number, and what numbers stand for. */
extern const RecoNumberPage *reco_draft_read_number(const RecoDraft *draft, int32 number);
extern RecoNumberPage *reco_draft_write_number(RecoDraft *draft, int32 number);
extern RecoSlice reco_draft_id(const RecoDraft *draft, int32 number);
extern bool reco_draft_learn(RecoDraft *draft, RecoNumberPage *page, int32 number, RecoSlice id, int expected);
extern RecoIdIndex *reco_draft_grow_index(RecoDraft *draft, uint32 count);
extern void reco_draft_index(RecoIdIndex *index, RecoSlice id, int32 number);
extern uint32 reco_draft_hash(RecoSlice id);
extern int	reco_draft_compare_ids(RecoSlice a, RecoSlice b);

/* Categories. */
extern int32 reco_draft_add_category(RecoDraft *draft, RecoStringTable *names, RecoSlice name, int expected);
extern const RecoProducts *reco_draft_read_products(const RecoDraft *draft, int32 category);
extern void reco_draft_write_products(RecoDraft *draft, int32 category, const RecoProduct *products,
									  const int64 *popularity, int count);

#endif							/* RECO_PRODUCT_DRAFT_H */
