/*-------------------------------------------------------------------------
 *
 * catalog_columns.h
 *	  The setting reco.catalog_columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATALOG_COLUMNS_H
#define RECO_CATALOG_COLUMNS_H

/* The catalog's columns, palloc'd. */
typedef struct RecoCatalogColumns
{
	char	   *product_id;
	char	   *category;
} RecoCatalogColumns;

extern bool reco_catalog_columns_parse(const char *text, RecoCatalogColumns *columns);

#endif							/* RECO_CATALOG_COLUMNS_H */
