/*-------------------------------------------------------------------------
 *
 * proof.h
 *	  Messages that tell a topic from another one of its name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_PROOF_H
#define KAFKA_PROOF_H

#include "client/consumer.h"
#include "ingest/catalog.h"

extern void kafka_proof_take(const KafkaMessage *message, KafkaProof *proof);
extern bool kafka_proof_same(const KafkaProof *a, const KafkaProof *b);
extern bool kafka_proof_place(const KafkaPartitionOffsets *offsets,
							  int64 position, KafkaRange *range);
extern KafkaClientOptions *kafka_proof_options(const KafkaClientOptions *options);
extern void kafka_proofs_find(const KafkaClientOptions *options,
							  const KafkaPartitionOffsets *offsets,
							  KafkaPosition **positions, int n);

#endif							/* KAFKA_PROOF_H */
