/*-------------------------------------------------------------------------
 *
 * redis_url.c
 *	  Parser of reco.redis_url.
 *
 *		redis://[user@]host[:port][/db]
 *		unix://[user@]/path/of/socket[?db=N]
 *
 * The parser also runs in the GUC's check hook, in any process and outside
 * transactions, so it returns the message instead of raising an error.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <limits.h>

#include "common/redis_url.h"

#define DEFAULT_PORT 6379

/* Parse a text as a number from low to high; false if it is none. */
static bool
redis_url_parse_number(const char *text, int low, int high, int *number)
{
	char	   *end;
	long		value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < low || value > high)
		return false;
	*number = (int) value;
	return true;
}

static int
redis_url_hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c ? strchr(digits, pg_tolower((unsigned char) c)) : NULL;

	return found ? (int) (found - digits) : -1;
}

/* Decode %xx in place; false if a % is not followed by two hex digits, or for %00. */
static bool
redis_url_decode(char *text)
{
	char	   *to = text;

	for (const char *from = text; *from != '\0'; from++)
	{
		if (*from == '%')
		{
			int			high = redis_url_hex_digit(from[1]);
			int			low = high < 0 ? -1 : redis_url_hex_digit(from[2]);

			if (low < 0 || high + low == 0)
				return false;
			*to++ = (char) (high * 16 + low);
			from += 2;
		}
		else
			*to++ = *from;
	}
	*to = '\0';
	return true;
}

/* Strip the user from the front of *rest, whose first end bytes may contain one. */
static const char *
redis_url_parse_user(char **rest, size_t end, RecoRedisUrl *url, const char **hint)
{
	char	   *at = NULL;

	for (size_t i = 0; i < end; i++)
	{
		if ((*rest)[i] == '@')
			at = *rest + i;
	}
	if (at == NULL)
		return NULL;

	*at = '\0';
	if (strchr(*rest, ':') != NULL)
	{
		*hint = "Put the password into a file that only the server's user can read,"
			" and name the file in reco.redis_password_file.";
		return "A Redis URL must not hold a password.";
	}
	if (!redis_url_decode(*rest))
		return "The user in the Redis URL has invalid percent-encoding.";
	if (**rest != '\0')
		url->user = *rest;
	*rest = at + 1;
	return NULL;
}

/* host[:port][/db], the host in brackets if it contains colons */
static const char *
redis_url_parse_host(char *rest, RecoRedisUrl *url)
{
	char	   *slash = strchr(rest, '/');
	char	   *port;

	if (slash != NULL)
	{
		*slash = '\0';
		if (slash[1] != '\0' && !redis_url_parse_number(slash + 1, 0, INT_MAX, &url->db))
			return "The database in the Redis URL is not a number.";
	}

	url->host = rest;
	if (*rest == '[')
	{
		port = strchr(rest, ']');
		if (port == NULL)
			return "The host in the Redis URL lacks a closing bracket.";
		url->host++;
		*port++ = '\0';
		if (*port != '\0' && *port != ':')
			return "The host in the Redis URL is followed by something that is not a port.";
	}
	else
		port = rest + strcspn(rest, ":");
	if (*port == ':')
	{
		*port = '\0';
		if (!redis_url_parse_number(port + 1, 1, 65535, &url->port))
			return "The port in the Redis URL is not a number from 1 to 65535.";
	}
	if (*url->host == '\0')
		return "The Redis URL names no host.";
	return NULL;
}

/* /path[?db=N] */
static const char *
redis_url_parse_path(char *rest, RecoRedisUrl *url)
{
	char	   *query = strchr(rest, '?');

	if (query != NULL)
	{
		*query++ = '\0';
		if (strncmp(query, "db=", 3) != 0 || !redis_url_parse_number(query + 3, 0, INT_MAX, &url->db))
			return "The Redis URL may end in ?db=NUMBER and in nothing else.";
	}
	if (*rest != '/')
		return "The Redis URL names no absolute path of a socket.";
	url->path = rest;
	return NULL;
}

/* See the header. */
const char *
reco_redis_url_parse(const char *text, RecoRedisUrl *url, const char **hint)
{
	char	   *rest = pstrdup(text);
	const char *wrong;

	memset(url, 0, sizeof(*url));
	url->port = DEFAULT_PORT;
	*hint = "Write redis://user@host:port/database or unix:///path/of/socket.";

	if (strncmp(rest, "redis://", 8) == 0)
	{
		rest += 8;
		wrong = redis_url_parse_user(&rest, strcspn(rest, "/"), url, hint);
		return wrong ? wrong : redis_url_parse_host(rest, url);
	}
	if (strncmp(rest, "unix://", 7) == 0)
	{
		rest += 7;
		wrong = redis_url_parse_user(&rest, strcspn(rest, "/"), url, hint);
		return wrong ? wrong : redis_url_parse_path(rest, url);
	}
	/* TLS would need hiredis 1.0 and its hiredis_ssl */
	if (strncmp(rest, "rediss://", 9) == 0)
	{
		*hint = "Use redis:// within a trusted network or through a TLS tunnel.";
		return "reco speaks no TLS to Redis.";
	}
	return "A Redis URL begins with redis:// or unix://.";
}
