/*-------------------------------------------------------------------------
 *
 * commit.h
 *	  Messages that go with the transaction: delivery "commit".
 *
 * NOTES
 *	  A message is held back until the transaction commits, and forgotten when
 *	  the transaction or the savepoint it was sent under rolls back.
 *
 *	  A target is what a producer is made from; its number is good for the
 *	  transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COMMIT_H
#define KAFKA_COMMIT_H

#include "message.h"
#include "options.h"

extern void kafka_commit_init(void);
extern int	kafka_commit_target(const KafkaClientOptions *options);
extern void kafka_commit_send(int target, const KafkaMessage *message);

#endif							/* KAFKA_COMMIT_H */
