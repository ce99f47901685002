/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What every SQL function with a server argument does first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FUNCTIONS_SERVER_H
#define KAFKA_FUNCTIONS_SERVER_H

#include "options.h"

extern KafkaClientOptions *kafka_server_options(const text *server);

#endif							/* KAFKA_FUNCTIONS_SERVER_H */
