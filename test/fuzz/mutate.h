/*-------------------------------------------------------------------------
 *
 * mutate.h
 *	  Messages made of others by random changes, for kafka_fuzz.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FUZZ_MUTATE_H
#define KAFKA_FUZZ_MUTATE_H

#define MAX_BYTES 4096			/* of an input, deep ones apart */
#define MAX_DEEP_BYTES (512 * 1024)
#define MAX_GOOD 64

/* An input, or a part of one. */
typedef struct Bytes
{
	char	   *data;			/* malloc'd in its exact length; NULL for NULL */
	size_t		len;
} Bytes;

typedef struct Mutator
{
	Bytes	   *corpus;
	int			ncorpus;
	Bytes		good[MAX_GOOD]; /* inputs without an error, the last ones */
	int64		ngood;
	uint64		random;
} Mutator;

extern Bytes kafka_mutate(Mutator *mutator);
extern Bytes kafka_mutate_deep(Mutator *mutator);
extern void kafka_mutate_keep(Mutator *mutator, const Bytes *good);
extern uint64 kafka_mutate_below(Mutator *mutator, uint64 n);
extern Bytes kafka_mutate_copy(const char *data, size_t len);

#endif							/* KAFKA_FUZZ_MUTATE_H */
