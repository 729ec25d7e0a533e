/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  What publishes lists and windows asks of the store that it publishes to.
 *
 * A sink names and stores keys in its own way; who publishes knows users,
 * windows and their values only.  A failure of the store is an ERROR that ends
 * the link: whether what was put has arrived is not known then.
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

/* How far a scan of keys is. */
typedef struct RecoSinkScan
{
	bool		begun;
	char		cursor[32];
} RecoSinkScan;

/* A key as it was found, valid while its handler runs. */
typedef struct RecoSinkValue
{
	RecoSlice	key;			/* as the store names it */
	const char *type;			/* likewise, clean; NULL: there is no such key */
	bool		right_type;		/* for what it is to hold */
	int64		ttl;			/* seconds; -1: it does not expire */
	RecoSlice	value;			/* a list as it was put, or reco_value_join() of a window's fields; data NULL: none */
} RecoSinkValue;

/* Takes what was found of the n-th id. */
typedef void (*RecoSinkHandler) (void *arg, int n, const RecoSinkValue *found);

/*
 * All but is_configured() and target() run outside of reco's lock, and but for
 * fetch() and scan(), which clients call as well, outside of transactions.
 */
typedef struct RecoSink
{
	const char *name;			/* for messages */
	bool		(*is_configured) (void);
	uint32		(*target) (void);	/* a hash of the settings that say where, and under which keys */

	/* A link lives in the memory context that is current; client: in a client's transaction. */
	RecoSinkLink *(*connect) (bool client);
	void		(*close) (RecoSinkLink *link);
	void		(*check) (RecoSinkLink *link);	/* ERROR if the store has closed it */
	pgsocket	(*socket) (RecoSinkLink *link); /* PGINVALID_SOCKET: it is closed */

	/*
	 * Is the copy in the store ours?  claim() asks before anything is put: 0, or
	 * milliseconds until it should be asked again.  renew() after each batch and
	 * once in a while: false if another publisher has taken it over.  Both ask
	 * for everything to be sent where the store has lost something.
	 */
	long		(*claim) (RecoSinkLink *link);
	bool		(*renew) (RecoSinkLink *link);

	/* These are done when flush() has returned; a window without fields is dropped. */
	void		(*put_user) (RecoSinkLink *link, int64 user_id, RecoSlice value);
	void		(*drop_user) (RecoSinkLink *link, int64 user_id);
	void		(*put_window) (RecoSinkLink *link, TimestampTz window, const RecoSinkField *fields, int count);
	void		(*flush) (RecoSinkLink *link);

	/* Ids of keys that are there, a piece at a time, each at least once; false: there are no more. */
	bool		(*scan) (RecoSinkLink *link, bool windows, RecoSinkScan *scan, RecoIds *found);

	/* Leave those ids whose values are of reco's making. */
	void		(*keep_own) (RecoSinkLink *link, bool windows, RecoIds *ids);

	/* What the store holds of some ids, one after the other: values may be long. */
	void		(*fetch) (RecoSinkLink *link, bool windows, const int64 *ids, int count,
						  RecoSinkHandler handler, void *arg);
} RecoSink;

/* The one that there is; in reco.c. */
extern const RecoSink *const reco_sink;

#endif							/* RECO_SINK_H */
