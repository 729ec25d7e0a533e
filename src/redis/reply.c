/*-------------------------------------------------------------------------
 *
 * reply.c
 *	  Replies of Redis: what they are, and how bytes become one; no I/O.
 *
 * RESP2, which Redis speaks unless asked for more:
 *
 *		+text  -error  :number  $length bytes  *count elements
 *
 * Who sits on the other end may send anything without end, so a reply is
 * measured, within bounds on length, count and depth, before anything is
 * allocated for it.  hiredis's own reader has no such bounds in the versions
 * that are about.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "redis/reply.h"

/* Bounds on a line, on elements of elements, and on all of a reply's elements. */
#define MAX_LINE (64 * 1024)
#define MAX_DEPTH 8
#define MAX_ELEMENTS (1024 * 1024)

/* The head of a reply or element: its mark, and the line that follows. */
typedef struct Head
{
	char		mark;
	const char *line;
	size_t		length;			/* without the line's end */
	int64		number;			/* that the line says; of : $ * */
	size_t		next;			/* where the next head is, or the bytes of $ */
} Head;

/* A decimal number that is all of the line; false if it is none. */
static bool
parse_number(const char *line, size_t length, int64 *number)
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

/* Read the head at a position. */
static RecoReplyState
read_head(const char *data, size_t length, size_t at, Head *head, const char **wrong)
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
	if (strchr(":$*", head->mark) != NULL && !parse_number(head->line, head->length, &head->number))
		return RECO_REPLY_WRONG;
	if (strchr("$*", head->mark) != NULL && head->number < -1)
		return RECO_REPLY_WRONG;
	return RECO_REPLY_COMPLETE;
}

/* Move on behind the bytes of a $. */
static RecoReplyState
skip_bytes(const char *data, size_t length, Head *head, size_t *end, const char **wrong)
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
		RecoReplyState state = read_head(data, length, at, &head, wrong);

		*end = length + 1;
		if (state == RECO_REPLY_COMPLETE && head.mark == '$' && head.number >= 0)
			state = skip_bytes(data, length, &head, end, wrong);
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

/* Build what stands at a position of complete bytes, and return where the next one is. */
static size_t
build(char *data, size_t length, size_t at, RecoReply *reply)
{
	Head		head;
	const char *wrong;

	(void) read_head(data, length, at, &head, &wrong);
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
					head.next = build(data, length, head.next, &reply->elements[i]);
				return head.next;
			}
			reply->type = RECO_REPLY_TEXT;
			reply->text = data + head.next;
			reply->length = head.number;
			head.next += head.number + 2;
			break;
	}
	data[reply->text + reply->length - data] = '\0';	/* in the place of the \r */
	return head.next;
}

/*
 * Build a reply that has been measured to end there.  Its texts stay where they are in
 * data, which is changed; elements are palloc'd.
 */
void
reco_reply_build(char *data, size_t end, RecoReply *reply)
{
	(void) build(data, end, 0, reply);
}

/* Copy a reply and all that it refers to into the present memory context. */
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
