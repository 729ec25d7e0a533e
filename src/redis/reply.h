/*-------------------------------------------------------------------------
 *
 * reply.h
 *	  Replies of Redis: what they are, and how bytes become one; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REPLY_H
#define RECO_REPLY_H

/* The longest reply that is taken, headers included. */
#define RECO_REPLY_BYTES (64 * 1024 * 1024)

typedef enum RecoReplyType
{
	RECO_REPLY_NIL, RECO_REPLY_TEXT, RECO_REPLY_ERROR, RECO_REPLY_INTEGER, RECO_REPLY_ARRAY
} RecoReplyType;

/* Text, an error's too, ends with a NUL beyond its length; NULL in other types. */
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
 * What the bytes that have arrived begin with.  COMPLETE: *end says where the
 * reply ends; MORE: not before so many bytes are there; WRONG: why not.
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
