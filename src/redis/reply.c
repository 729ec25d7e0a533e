/*-------------------------------------------------------------------------
 *
 * reply.c
 *	  Parser of Redis's replies; no I/O.
 *
 * The protocol is RESP2, Redis's default:
 *
 *		+text  -error  :number  $length bytes  *count elements
 *
 * The other end may send anything, so a reply is measured, within limits on
 * length, count and depth, before anything is allocated for it.  hiredis's own
 * reader lacks such limits in the versions that are in use.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "redis/reply.h"

/* Limits on a line, on the nesting of arrays, and on all of a reply's elements. */
#define MAX_LINE (64 * 1024)
#define MAX_DEPTH 8
#define MAX_ELEMENTS (1024 * 1024)

/* The header of a reply or element: its mark, and the rest of its line. */
typedef struct Head
{
	char		mark;
	const char *line;
	size_t		length;			/* without \r\n */
	int64		number;			/* the line as a number; only for : $ * */
	size_t		next;			/* position after the line */
} Head;

/* Parse a line as a decimal number; false if it is none. */
static bool
reply_parse_number(const char *line, size_t length, int64 *number)
{
	bool		minus = length > 0 && line[0] == '-';
	uint64		value = 0;
	uint64		most = (uint64) PG_INT64_MAX + (minus ? 1 : 0);

	if (length == (size_t) minus)
		return false;
	for (size_t i = minus; i < length; i++)
	{
		int			digit = line[i] - '0';

		if (digit < 0 || digit > 9 || value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = minus ? (int64) (0 - value) : (int64) value;
	return true;
}

/* Read the header at a position. */
static RecoReplyState
reply_read_head(const char *data, size_t length, size_t at, Head *head, const char **wrong)
{
	const char *end;

	if (at >= length)
		return RECO_REPLY_MORE;
	head->mark = data[at];
	*wrong = "these are not bytes of Redis's protocol";
	if (head->mark == '\0' || strchr("+-:$*", head->mark) == NULL)
		return RECO_REPLY_WRONG;
	head->line = data + at + 1;
	end = memchr(head->line, '\r', Min(length - at - 1, MAX_LINE));
	if (end == NULL && length - at - 1 >= MAX_LINE)
	{
		*wrong = "a line of it is too long";
		return RECO_REPLY_WRONG;
	}
	if (end == NULL || end + 1 >= data + length)
		return RECO_REPLY_MORE;
	if (end[1] != '\n')
		return RECO_REPLY_WRONG;
	head->length = end - head->line;
	head->next = end + 2 - data;
	if (strchr(":$*", head->mark) != NULL && !reply_parse_number(head->line, head->length, &head->number))
		return RECO_REPLY_WRONG;
	if (strchr("$*", head->mark) != NULL && head->number < -1)
		return RECO_REPLY_WRONG;
	return RECO_REPLY_COMPLETE;
}

/* Skip the bytes that follow a $ header. */
static RecoReplyState
reply_skip_bytes(const char *data, size_t length, Head *head, size_t *end, const char **wrong)
{
	if (head->number > RECO_REPLY_BYTES)
	{
		*wrong = "it is too long";
		return RECO_REPLY_WRONG;
	}
	*end = head->next + head->number + 2;
	if (*end > length)
		return RECO_REPLY_MORE;
	if (data[*end - 2] != '\r' || data[*end - 1] != '\n')
		return RECO_REPLY_WRONG;
	head->next = *end;
	return RECO_REPLY_COMPLETE;
}

/* See the header. */
RecoReplyState
reco_reply_measure(const char *data, size_t length, size_t *end, const char **wrong)
{
	int64		left[MAX_DEPTH] = {1};	/* elements to come, by depth */
	int			depth = 0;
	int64		elements = 0;
	size_t		at = 0;

	for (;;)
	{
		Head		head;
		RecoReplyState state = reply_read_head(data, length, at, &head, wrong);

		*end = length + 1;
		if (state == RECO_REPLY_COMPLETE && head.mark == '$' && head.number >= 0)
			state = reply_skip_bytes(data, length, &head, end, wrong);
		if ((state == RECO_REPLY_MORE && *end > RECO_REPLY_BYTES) ||
			(state == RECO_REPLY_COMPLETE && head.next > RECO_REPLY_BYTES))
		{
			*wrong = "it is too long";
			return RECO_REPLY_WRONG;
		}
		if (state != RECO_REPLY_COMPLETE)
			return state;
		at = head.next;
		left[depth]--;
		if (head.mark == '*' && head.number > 0)
		{
			elements += head.number;
			*wrong = elements > MAX_ELEMENTS ? "it has too many elements" : "it is nested too deeply";
			if (elements > MAX_ELEMENTS || ++depth == MAX_DEPTH)
				return RECO_REPLY_WRONG;
			left[depth] = head.number;
		}
		while (left[depth] == 0)
		{
			if (depth-- == 0)
			{
				*end = at;
				return RECO_REPLY_COMPLETE;
			}
		}
	}
}

/* Build the reply or element at a position; returns the position after it. */
static size_t
reply_build(char *data, size_t length, size_t at, RecoReply *reply)
{
	Head		head;
	const char *wrong;

	(void) reply_read_head(data, length, at, &head, &wrong);
	memset(reply, 0, sizeof(*reply));
	switch (head.mark)
	{
		case '+':
		case '-':
			reply->type = head.mark == '+' ? RECO_REPLY_TEXT : RECO_REPLY_ERROR;
			reply->text = head.line;
			reply->length = head.length;
			break;
		case ':':
			reply->type = RECO_REPLY_INTEGER;
			reply->integer = head.number;
			return head.next;
		default:
			if (head.number < 0)
				return head.next;
			if (head.mark == '*')
			{
				reply->type = RECO_REPLY_ARRAY;
				reply->nelements = (int) head.number;
				reply->elements = palloc(sizeof(RecoReply) * Max(reply->nelements, 1));
				for (int i = 0; i < reply->nelements; i++)
					head.next = reply_build(data, length, head.next, &reply->elements[i]);
				return head.next;
			}
			reply->type = RECO_REPLY_TEXT;
			reply->text = data + head.next;
			reply->length = head.number;
			head.next += head.number + 2;
			break;
	}
	data[reply->text + reply->length - data] = '\0';	/* in place of \r */
	return head.next;
}

/*
 * Build a reply that has been measured.  Its texts point into data, which is
 * modified; elements are palloc'd.
 */
void
reco_reply_build(char *data, size_t end, RecoReply *reply)
{
	(void) reply_build(data, end, 0, reply);
}

/* Copy a reply and all that it refers to into the current memory context. */
void
reco_reply_copy(const RecoReply *from, RecoReply *to)
{
	*to = *from;
	if (from->text != NULL)
		to->text = memcpy(palloc(from->length + 1), from->text, from->length + 1);
	if (from->type == RECO_REPLY_ARRAY)
	{
		to->elements = palloc(sizeof(RecoReply) * Max(from->nelements, 1));
		for (int i = 0; i < from->nelements; i++)
			reco_reply_copy(&from->elements[i], &to->elements[i]);
	}
}
