/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Which cluster this is, as opposed to a copy of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_IDENTITY_H
#define KAFKA_IDENTITY_H

extern const char *kafka_cluster_identity(void);

#endif							/* KAFKA_IDENTITY_H */
