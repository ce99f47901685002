/*-------------------------------------------------------------------------
 *
 * traffic.c
 *	  How much a client has received.
 *
 * NOTES
 *	  librdkafka does not tell how many bytes messages were before they were
 *	  unpacked, but in its statistics, which come at fixed intervals, also while
 *	  nobody reads.  The operating system counts what a socket has received, so
 *	  the sockets are made and closed here.
 *
 *	  Both happen in librdkafka's threads, which use nothing of PostgreSQL; the
 *	  mutex keeps a descriptor from being closed, and so from being another
 *	  file's, while it is asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/traffic.h"

/* more than any client has; others are not counted */
#define MAX_SOCKETS 256

struct KafkaTraffic
{
	pthread_mutex_t mutex;
	int			sockets[MAX_SOCKETS];
	int			nsockets;
	int64		closed;			/* bytes of those that are closed */
};

static int64 ask(int fd);

/*
 * kafka_traffic_make
 *		Returns a malloc'd count, or NULL if there is no memory.
 */
KafkaTraffic *
kafka_traffic_make(void)
{
	KafkaTraffic *traffic = calloc(1, sizeof(KafkaTraffic));

	if (traffic != NULL)
		pthread_mutex_init(&traffic->mutex, NULL);
	return traffic;
}

/*
 * kafka_traffic_free
 *		Frees the count of a client that is gone; in any thread.
 */
void
kafka_traffic_free(KafkaTraffic *traffic)
{
	if (traffic == NULL)
		return;
	pthread_mutex_destroy(&traffic->mutex);
	free(traffic);
}

/*
 * kafka_traffic_socket
 *		In any thread: makes a socket that is counted.
 */
int
kafka_traffic_socket(int domain, int type, int protocol, KafkaTraffic *traffic)
{
	int			fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return fd;
	pthread_mutex_lock(&traffic->mutex);
	if (traffic->nsockets < MAX_SOCKETS)
		traffic->sockets[traffic->nsockets++] = fd;
	pthread_mutex_unlock(&traffic->mutex);
	return fd;
}

/*
 * kafka_traffic_close
 *		In any thread: closes such a socket.
 */
int
kafka_traffic_close(int fd, KafkaTraffic *traffic)
{
	int			rc;

	pthread_mutex_lock(&traffic->mutex);
	for (int i = 0; i < traffic->nsockets; i++)
		if (traffic->sockets[i] == fd)
		{
			traffic->closed += ask(fd);
			traffic->sockets[i] = traffic->sockets[--traffic->nsockets];
			break;
		}
	rc = close(fd);
	pthread_mutex_unlock(&traffic->mutex);
	return rc;
}

/*
 * kafka_traffic_received
 *		Returns how many bytes the client's sockets have received; in any
 *		thread.
 */
int64
kafka_traffic_received(KafkaTraffic *traffic)
{
	int64		received;

	pthread_mutex_lock(&traffic->mutex);
	received = traffic->closed;
	for (int i = 0; i < traffic->nsockets; i++)
		received += ask(traffic->sockets[i]);
	pthread_mutex_unlock(&traffic->mutex);
	return received;
}

/*
 * Asks the system for one socket; 0 where it does not tell.
 */
static int64
ask(int fd)
{
	struct tcp_info info;
	socklen_t	length = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
		length < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
		return 0;
	return info.tcpi_bytes_received;
}
