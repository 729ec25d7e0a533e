/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  The interface of a store that lists and windows are published to.
 *
 * How keys are named and stored is the sink's business; publish/ only knows
 * users, windows and their values.  A failure of the store is an ERROR that ends
 * the link; it is unknown then whether what was put has arrived.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SINK_H
#define RECO_SINK_H

#include "common/array.h"
#include "common/slice.h"
#include "datatype/timestamp.h"

/* A connection to the store, private to the sink. */
typedef struct RecoSinkLink RecoSinkLink;

/* A product of a window, in UTF-8. */
typedef struct RecoSinkField
{
	RecoSlice	product;
	int64		views;
} RecoSinkField;

/* The progress of a scan of keys. */
typedef struct RecoSinkScan
{
	bool		begun;
	char		cursor[32];
} RecoSinkScan;

/* A key that was fetched, valid while its handler runs. */
typedef struct RecoSinkValue
{
	RecoSlice	key;			/* its name in the store */
	const char *type;			/* its type there, cleaned; NULL: there is no such key */
	bool		right_type;		/* is that the type of lists or windows? */
	int64		ttl;			/* seconds; -1: it does not expire */
	RecoSlice	value;			/* a list as it was put, or reco_value_join() of a window's fields; data NULL: none */
} RecoSinkValue;

/* Receives what was fetched for the n-th id. */
typedef void (*RecoSinkHandler) (void *arg, int n, const RecoSinkValue *found);

/*
 * All but is_configured() and target() run without reco's lock, and, except
 * fetch() and scan(), which clients call as well, outside of transactions.
 */
typedef struct RecoSink
{
	const char *name;			/* for messages */
	bool		(*is_configured) (void);
	uint32		(*target) (void);	/* a hash of the settings for the address and the keys */

	/* A link lives in the current memory context; client: used in a client's transaction. */
	RecoSinkLink *(*connect) (bool client);
	void		(*close) (RecoSinkLink *link);
	void		(*check) (RecoSinkLink *link);	/* ERROR if the store has closed it */
	pgsocket	(*socket) (RecoSinkLink *link); /* PGINVALID_SOCKET: it is closed */

	/*
	 * Are we the publisher of this store?  claim() must be called before anything
	 * is put; it returns 0, or the milliseconds until the next attempt.  renew()
	 * must be called after each batch and regularly; it returns false if another
	 * publisher has taken over.  Both request a resync if the store has lost data.
	 */
	long		(*claim) (RecoSinkLink *link);
	bool		(*renew) (RecoSinkLink *link);

	/* These are complete when flush() has returned; a window without fields is dropped. */
	void		(*put_user) (RecoSinkLink *link, int64 user_id, RecoSlice value);
	void		(*drop_user) (RecoSinkLink *link, int64 user_id);
	void		(*put_window) (RecoSinkLink *link, TimestampTz window, const RecoSinkField *fields, int count);
	void		(*flush) (RecoSinkLink *link);

	/* Scan for the ids of existing keys, some at a time, each at least once; false: there are no more. */
	bool		(*scan) (RecoSinkLink *link, bool windows, RecoSinkScan *scan, RecoIds *found);

	/* Keep only the ids whose values were written by reco. */
	void		(*keep_own) (RecoSinkLink *link, bool windows, RecoIds *ids);

	/* Fetch the keys of some ids, one after the other, since values may be long. */
	void		(*fetch) (RecoSinkLink *link, bool windows, const int64 *ids, int count,
						  RecoSinkHandler handler, void *arg);
} RecoSink;

/* The sink in use; defined in reco.c. */
extern const RecoSink *const reco_sink;

#endif							/* RECO_SINK_H */
