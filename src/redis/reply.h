/*-------------------------------------------------------------------------
 *
 * reply.h
 *	  Parser of Redis's replies; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REPLY_H
#define RECO_REPLY_H

/* The longest reply that is accepted, including headers. */
#define RECO_REPLY_BYTES (64 * 1024 * 1024)

typedef enum RecoReplyType
{
	RECO_REPLY_NIL, RECO_REPLY_TEXT, RECO_REPLY_ERROR, RECO_REPLY_INTEGER, RECO_REPLY_ARRAY
} RecoReplyType;

/* text is NUL-terminated beyond its length; NULL unless TEXT or ERROR. */
typedef struct RecoReply
{
	RecoReplyType type;
	const char *text;
	size_t		length;
	int64		integer;
	int			nelements;
	struct RecoReply *elements;
} RecoReply;

/*
 * Whether some bytes begin with a reply.  COMPLETE: it ends at *end; MORE: it
 * needs at least *end bytes; WRONG: *wrong says why it is invalid.
 */
typedef enum RecoReplyState
{
	RECO_REPLY_COMPLETE, RECO_REPLY_MORE, RECO_REPLY_WRONG
} RecoReplyState;

extern RecoReplyState reco_reply_measure(const char *data, size_t length, size_t *end,
										 const char **wrong);
extern void reco_reply_build(char *data, size_t end, RecoReply *reply);
extern void reco_reply_copy(const RecoReply *from, RecoReply *to);

#endif							/* RECO_REPLY_H */
