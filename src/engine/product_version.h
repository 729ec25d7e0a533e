/*-------------------------------------------------------------------------
 *
 * product_version.h
 *	  Versions of the mirror in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_VERSION_H
#define RECO_PRODUCT_VERSION_H

#include "port/atomics.h"
#include "utils/dsa.h"

/* Whatever is allocated for a version begins with this. */
typedef struct RecoPiece
{
	dsa_pointer created;		/* the next one that the same version has created */
	dsa_pointer replaced;		/* the next one that the same version has replaced */
	Size		size;
} RecoPiece;

#define RECO_PAGE_NUMBERS 512
#define RECO_PAGE_CATEGORIES 128

/* A product of a category; small, because lists are made from thousands of them. */
typedef struct RecoProduct
{
	int32		number;
	int32		order;			/* in the whole mirror, best first; 0: not known */
} RecoProduct;

/* The products of a category, the most popular first; then the popularity of each. */
typedef struct RecoProducts
{
	RecoPiece	piece;
	int32		count;
	int32		unordered;		/* those whose order is not known */
	RecoProduct products[FLEXIBLE_ARRAY_MEMBER];
} RecoProducts;

#define RECO_PRODUCTS_SIZE(count) \
	(offsetof(RecoProducts, products) + (Size) (count) * (sizeof(RecoProduct) + sizeof(int64)))
#define RECO_PRODUCTS_POPULARITY(list) ((int64 *) &(list)->products[(list)->count])

/* A text in quotes, as JSON has it; then the same escaped, if that differs. */
typedef struct RecoProductText
{
	uint32		length;			/* without the quotes */
	uint32		escaped;		/* length of the escaped form, with its quotes; 0: the same */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} RecoProductText;

/* Texts, which live as long as the family. */
typedef struct RecoTextBlock
{
	RecoPiece	piece;
	dsa_pointer older;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} RecoTextBlock;

typedef struct RecoNumberPage
{
	RecoPiece	piece;
	int32		category[RECO_PAGE_NUMBERS];
	dsa_pointer text[RECO_PAGE_NUMBERS];	/* the product's id; invalid: not known */
} RecoNumberPage;

typedef struct RecoCategoryEntry
{
	dsa_pointer name;			/* a RecoProductText */
	dsa_pointer products;		/* RecoProducts; invalid: none */
} RecoCategoryEntry;

typedef struct RecoCategoryPage
{
	RecoPiece	piece;
	RecoCategoryEntry entries[RECO_PAGE_CATEGORIES];
} RecoCategoryPage;

/* Where the pages are. */
typedef struct RecoDirectory
{
	RecoPiece	piece;
	dsa_pointer pages[FLEXIBLE_ARRAY_MEMBER];
} RecoDirectory;

/*
 * Numbers by the hash of the product's id; versions share it until it is full.
 * Whether the id is the one sought is looked up in the version, so entries of a
 * change that was rolled back do no harm.  Read and written under reco's lock
 * only.
 */
typedef struct RecoIdSlot
{
	uint32		hash;
	int32		number;			/* -1: the slot is free */
} RecoIdSlot;

typedef struct RecoIdIndex
{
	RecoPiece	piece;
	uint32		mask;			/* slots - 1, slots being a power of two */
	uint32		used;
	RecoIdSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} RecoIdIndex;

/*
 * What reco.product says in one version.  Never changed once it is published,
 * but for pins and newer.  Versions that were made from each other are a family:
 * they have numbers, ids and indexes of categories in common, which only come to
 * be more.
 */
typedef struct RecoVersion
{
	RecoPiece	piece;
	dsa_pointer self;
	uint64		serial;			/* unique since the server started */
	uint64		family;			/* serial of its first version */
	Oid			table;			/* reco.product */
	int64		mirror;			/* versions as reco.state has them */
	int64		numbers;

	pg_atomic_uint32 pins;		/* processes that read it */
	dsa_pointer newer;			/* the next version, or of what was discarded the next one */
	dsa_pointer created;		/* pieces made for it */
	dsa_pointer replaced;		/* pieces of the version before that it does not use */
	bool		is_first;		/* of its family */

	int32		number_end;		/* all numbers known are below */
	int32		category_count;
	int32		product_count;	/* in a category */
	int32		unordered;		/* among them, products whose order is not known */
	dsa_pointer numbers_directory;
	dsa_pointer categories_directory;
	dsa_pointer texts;			/* the newest block */
	dsa_pointer ids;			/* RecoIdIndex */
} RecoVersion;

#define RECO_PAGES(count, per_page) (((count) + (per_page) - 1) / (per_page))

/* How much of shared memory is in use. */
typedef struct RecoVersionUsage
{
	uint64		builds;			/* versions that were read from the tables */
	uint64		versions;		/* that are held */
	uint64		bytes;
} RecoVersionUsage;

extern const struct RecoShmemArea reco_version_area;

extern RecoVersionUsage reco_version_usage(void);

/* The version in force in this database, pinned; NULL: there is none. */
extern RecoVersion *reco_version_pin(void);
extern void reco_version_unpin(RecoVersion *version);
extern bool reco_version_is_newest(const RecoVersion *version);

/* A version of the caller's own. */
extern RecoVersion *reco_version_create(const RecoVersion *base);
extern bool reco_version_publish(RecoVersion *version, bool pin);
extern void reco_version_discard(RecoVersion *version);

/* Pieces of it. */
extern void *reco_version_address(dsa_pointer piece);
extern dsa_pointer reco_version_allocate(RecoVersion *version, Size size, void *address);
extern void reco_version_replace(RecoVersion *version, dsa_pointer piece);

/* Free what nobody reads any more; not in a callback, for it may raise an ERROR. */
extern void reco_version_reclaim(void);

/* A database was dropped, or reco's tables in it. */
extern void reco_version_forget_database(Oid database);

#endif							/* RECO_PRODUCT_VERSION_H */
