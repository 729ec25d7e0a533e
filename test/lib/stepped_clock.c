/*
 * A wall clock that a test sets, for LD_PRELOAD: the time of day plus the seconds that stand, as int64, in the file that
 * STEPPED_CLOCK names. All processes see a step at once; the monotonic clock goes on.
 *
 * libfaketime does not do: PostgreSQL 15 forks its workers in a signal handler that interrupts select(), and what
 * libfaketime has switched off for the length of that call stays off in them.  librdkafka keeps the real time, by
 * which the kernel ends its waits.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("STEPPED_CLOCK");
	int			file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *mapped = file >= 0 ? mmap(NULL, sizeof(*step), PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;

	if (file >= 0)
		close(file);
	if (mapped != MAP_FAILED)
		step = mapped;
}

static int64_t
step_for(void *caller)
{
	Dl_info		library;

	if (step == NULL || *step == 0)
		return 0;
	if (dladdr(caller, &library) != 0 && strstr(library.dli_fname, "rdkafka") != NULL)
		return 0;
	return *step;
}

int
clock_gettime(clockid_t clock, struct timespec *at)
{
	int			result = syscall(SYS_clock_gettime, clock, at);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		at->tv_sec += step_for(__builtin_return_address(0));
	return result;
}

int
gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec + step_for(__builtin_return_address(0));
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *at)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	now.tv_sec += step_for(__builtin_return_address(0));
	if (at != NULL)
		*at = now.tv_sec;
	return now.tv_sec;
}
