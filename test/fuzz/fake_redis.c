/*-------------------------------------------------------------------------
 *
 * fake_redis.c
 *	  Who answers in Redis' place, within the server process itself.
 *
 * A thread with a socket: a process of its own could not be told what to send
 * thousands of times a second.  It calls nothing of PostgreSQL's, gets no
 * signal, and between two clients waits for the next one; what it sends stays
 * the caller's, who offers it before a client connects and takes it back with
 * fake_redis_served().
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fake_redis.h"

/* What is sent for ever ends after so many seconds. */
#define PATIENCE 2

static int	listener = -1;
static pthread_t thread;
static sem_t served;
static FakeReply offered;

/* Send all of it; false: the client has had enough. */
static bool
send_all(int client, const char *data, size_t length, size_t piece)
{
	while (length > 0)
	{
		ssize_t		sent = send(client, data, piece > 0 ? Min(piece, length) : length, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		data += sent;
		length -= sent;
	}
	return true;
}

/* Send the end of a reply again and again, in pieces that fill a socket. */
static void
send_for_ever(int client, const char *data, size_t length)
{
	static char piece[256 * 1024];
	size_t		filled = 0;
	time_t		end = time(NULL) + PATIENCE;

	for (; filled + length <= sizeof(piece); filled += length)
		memcpy(piece + filled, data, length);
	while (time(NULL) < end && send_all(client, piece, filled, 0))
		;
}

static void
serve(int client, const FakeReply *reply)
{
	char		ignored[4096];

	if (!send_all(client, reply->data, reply->length, reply->piece))
		return;
	if (reply->again > 0)
		send_for_ever(client, reply->data + reply->length - reply->again, reply->again);
	if (reply->hang_up)
		return;
	shutdown(client, SHUT_WR);
	while (recv(client, ignored, sizeof(ignored), 0) > 0)
		;
}

static void *
serve_all(void *arg)
{
	int			client;

	while ((client = accept(listener, NULL, NULL)) >= 0)
	{
		serve(client, &offered);
		close(client);
		sem_post(&served);
	}
	return NULL;
}

void
fake_redis_start(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	sigset_t	all;
	sigset_t	before;

	strlcpy(address.sun_path, path, sizeof(address.sun_path));
	(void) unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(listener, 1) != 0)
		elog(ERROR, "could not listen on \"%s\": %m", path);
	sem_init(&served, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, serve_all, NULL) != 0)
		elog(ERROR, "could not start a thread");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
fake_redis_stop(void)
{
	shutdown(listener, SHUT_RDWR);	/* which ends its accept() */
	pthread_join(thread, NULL);
	close(listener);
	sem_destroy(&served);
}

void
fake_redis_offer(const FakeReply *reply)
{
	offered = *reply;
}

/* Wait until the client, who has closed the connection, is forgotten; false: there was none. */
bool
fake_redis_served(void)
{
	struct timespec end;
	int			result;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	while ((result = sem_timedwait(&served, &end)) != 0 && errno == EINTR)
		;
	return result == 0;
}
