/*
 * server.c
 *	  What the units under test take from the server, without a server.
 */
#include "postgres.h"

#include "../../src/kafka/trail.c"
#include "../../src/kafka/verdict.c"

void *
palloc(Size size)
{
	return malloc(size);
}

/* ExceptionalCondition() of a server with assertions, whose arguments differ between versions. */
extern void assertion_failed(void) __asm__("ExceptionalCondition");

void
assertion_failed(void)
{
	abort();
}
