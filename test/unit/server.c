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
